"""Every source list is read the same way, and refused in the same words."""

from itertools import pairwise

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

NAMES = "abcdefghijklmnop"
BOMB = ("a: &a [x, x]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise(NAMES))).encode()


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
        (BOMB, "an alias"),
        (b"urls: &a [*a]\nsha256: null\n", "an alias"),
        (b"urls: &a [a]\nsha256: null\nx: {<<: *a}\n", "an alias"),
        (b"urls: [a]\nurls: [b]\nsha256: null\n", "duplicate key"),
        (b"urls: !!python/object/apply:os.getcwd []\nsha256: null\n", "tag"),
        (b"urls: [!!bool x]\nsha256: null\n", "'x'"),
        (b"urls: [!!timestamp x]\nsha256: null\n", ""),
        (b"urls: !mine [a]\nsha256: null\n", "tag"),
        (b"urls: " + b"[" * 100_000, "maximum depth"),
        (b"".join(b" " * n + b"a:\n" for n in range(200)), "maximum depth"),
        (b"urls: [" + b"a, " * 100_000 + b"]\nsha256: null\n", "more than 262144 bytes"),
        (b"urls: [a]\nsha256: null\nsize: " + b"9" * 100_000, "4300 digits|size"),
        (b"urls: [a]\nsha256: null\nsize: 0x" + b"f" * 100_000, "size"),
        (b"urls: [a]\nsha256: null\nsize: 2020-13-45\n", "month"),
        (b"urls: [a]\nsha256: null\n---\nx: 1\n", "single document"),
    ],
)
def test_a_wrong_list_is_refused_by_name(tmp_path, content, reason):
    path = tmp_path / "list.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"(?s)list\.yaml: expected a source list of one archive.*" + reason):
        read_source_list(path, ArchiveSource, "one archive")
