"""The worked example of docs/voice.md, a DataLoader that is not ours, runs as it stands."""

import re
import shutil

from soundgate.audio.io import read_audio
from soundgate.tracks.voice.model.folder import save_converter
from tests.pipeline_file import ROOT

from .tiny_converter import tiny_converter

TEXT = re.search(r"test_loading_example.py.*?```python\n(.*?)```", (ROOT / "docs/voice.md").read_text(), re.S).group(1)


def test_the_example_finds_its_speakers_and_converts_them(tmp_path, monkeypatch):
    assert len(TEXT.splitlines()) <= 40
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    save_converter("data/embedded/voice/converter", tiny_converter())
    exec(compile(TEXT, "docs/voice.md", "exec"), whole := {})
    assert whole["results"]["n_speakers"] == 3 and whole["results"]["n_utterances"] == 15
    made = whole["samples"].conversions
    assert len(made) == 4 and set(made["source"]) | set(made["target"]) == {"ann", "bob", "cat"}
    for row in made.to_dict("records"):
        assert read_audio(tmp_path / "samples" / row["converted"]).sample_rate == 16_000
