"""Every source list is read the same way, and refused in the same words."""

import pytest

from soundgate.corpora.archived import ArchiveSource
from soundgate.corpora.generated_music import MusicSource
from soundgate.corpora.generated_rooms import RoomSource
from soundgate.corpora.generated_speech import SpeechSource
from soundgate.corpora.librispeech import LibriSpeechSource
from soundgate.corpora.noisy_voices import VoiceSource
from soundgate.corpora.source_list import read_source_list
from soundgate.runtime.errors import ConfigError
from tests.pipeline_file import ROOT

MODELS = {
    "generated_music": MusicSource, "generated_rooms": RoomSource, "generated_speech": SpeechSource,
    "generated_voices": VoiceSource, "librispeech": LibriSpeechSource, "ljspeech": ArchiveSource,
    "mit_survey": ArchiveSource, "vctk": ArchiveSource,
}  # fmt: skip


def test_every_committed_list_is_valid():
    files = {path.stem: path for path in (ROOT / "sources").glob("*.yaml") if path.stem != "none"}
    assert set(files) == set(MODELS)
    for name, model in MODELS.items():
        assert isinstance(read_source_list(files[name], model, name), model)


def test_known_values(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text(f"urls: [http://a/b.zip]\nsha256: {'ab' * 32}\n")
    source = read_source_list(path, ArchiveSource, "one archive")
    assert (source.urls, source.sha256, source.size) == (["http://a/b.zip"], "ab" * 32, None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"urls: [", "flow node"),
        (b"\xff\xfe\x00", "decode"),
        (b"- 1\n", "ArchiveSource"),
        (b"urls: [a]\n", "sha256"),
        (b"urls: []\nsha256: null\n", "urls"),
        (b"urls: [a]\nsha256: null\nmd5: x\n", "md5"),
    ],
)
def test_a_wrong_list_is_refused_by_name(tmp_path, content, reason):
    path = tmp_path / "list.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"(?s)list\.yaml: expected a source list of one archive.*" + reason):
        read_source_list(path, ArchiveSource, "one archive")
