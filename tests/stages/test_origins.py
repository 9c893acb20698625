"""Folders of any name reach the corpus stages by their parameters; no part of a name is run by a shell."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from soundgate.audio.io import write_audio
from stages.corpus import music, speech, voices
from stages.editor import songs
from tests.pipeline.compositions import text_of
from tests.pipeline_file import ROOT, stage_entries

# Each character that a shell, Hydra, OmegaConf, YAML or an option parser reads for itself.
NAMES = [
    "Bob's R&B (2023)",
    "-a;touch x;$(touch x)`touch x`",
    '語音 "jörg" C#',
    "${seed},a=b[1]\\",
    "2023",
    "line\nbreak",
]
MODULES = {"speech": speech, "music": music, "songs": songs, "voices": voices}


@pytest.fixture
def at_work(tmp_path, monkeypatch):
    """A function that composes for a folder of two voices with a name, relative as a leading - can only be."""
    monkeypatch.chdir(tmp_path)

    def run(name):
        rng = np.random.default_rng(0)
        for speaker in ("s0", "s1"):
            write_audio(tmp_path / name / speaker / "a.wav", rng.normal(0, 0.1, 16_000), 16_000)
        overrides = ["profile=real", f"corpus.speech.origin={name}", f"corpus.music.origin={name}"]
        Path("params.yaml").write_text(text_of(*overrides))

    return run


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_finds_a_folder_of_any_name_by_its_parameters(at_work, name):
    at_work(name)
    for kind, module in MODULES.items():
        arguments = ["--out", f"out/{kind}", *(["--name", "speech"] if kind == "voices" else [])]
        done = CliRunner().invoke(module.main, arguments)
        assert done.exit_code == 0, done.output
        assert len(pd.read_parquet(f"out/{kind}/index.parquet")) == 2
    assert CliRunner().invoke(speech.main, ["--out", "out/speech", f"--origin=./{name}"]).exit_code == 0
    other = CliRunner().invoke(speech.main, ["--out", "out/speech", "--origin", "elsewhere"])
    assert other.exit_code == 1 and "corpus.speech.origin" in other.output


@pytest.mark.slow
def test_dvc_runs_no_part_of_a_name(at_work):
    at_work("a;touch pwned;$(touch pwned) `touch pwned` ${seed} 'é' #|>x")
    entry = {key: stage_entries()["corpus-speech"][key] for key in ("matrix", "cmd", "params", "outs")}
    entry["params"] = [name for name in entry["params"] if isinstance(name, str)]  # Not code.yaml, which is not here.
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"corpus-speech": entry}}))
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
    }
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "repro"], ["dvc", "status"]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "up to date" in done.stdout
    assert len(pd.read_parquet("data/real/speech/index.parquet")) == 2
    assert not [path for path in Path().rglob("*") if path.name in ("pwned", "x")]
