import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgate.audio.containers import ContainerError
from soundgate.audio.decoding import Decoding, reasons
from soundgate.audio.exact import ExactAudio, type_of, write_exact
from soundgate.audio.mapped import MappedDecoding
from soundgate.runtime.errors import AudioError
from tests.audio.test_exact import FORMATS, drawn

BAD = Path(__file__).resolve().parents[2].parent / "shared" / "audio" / "bad"


def read(opened, path):
    with opened(path) as decoding:
        samples = np.concatenate(list(decoding.blocks(type_of(decoding.subtype))))
        return samples.tobytes(), decoding.sample_rate, decoding.channels, decoding.subtype, decoding.note


@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize(("extension", "subtype"), FORMATS)
def test_it_decodes_what_the_decoder_in_memory_decodes(tmp_path, extension, subtype, channels):
    path = tmp_path / f"a.{extension}"
    write_exact(path, ExactAudio(drawn(subtype, channels), 48_000, subtype))
    assert read(MappedDecoding, path) == read(Decoding.of, path)


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_recordings_with_headers_that_lie_are_read_alike(tmp_path, kind):
    path, odd = tmp_path / f"a.{kind}", tmp_path / "b"
    soundfile.write(path, drawn("PCM_16", 2).T, 44_100)
    content = path.read_bytes()
    odds = [content + bytes(300), content + b"TAG" + bytes(125), b"ID3\4\0\0\0\0\0\0" + content, content[:-1]]
    if kind == "wav":
        at = content.index(b"data") + 4
        odds.append(content[:at] + bytes(4) + content[at + 4 :])
    else:
        odds.append(content[:21] + bytes([content[21] & 0xF0]) + bytes(4) + content[26:])
    for one in odds:
        odd.write_bytes(one)
        found = []
        for opened in (Decoding.of, MappedDecoding):
            try:
                with reasons(odd):
                    found.append(read(opened, odd))
            except AudioError as error:
                found.append(error.found)
        assert found[0] == found[1]


@pytest.mark.parametrize("content", [b"", b"RIFF", b"fLaC", b"no audio", b"version https://git-lfs.github.com/spec/v1"])
def test_what_is_no_audio_is_refused(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ContainerError) as found:
        read(MappedDecoding, tmp_path / "a")
    with pytest.raises(ContainerError) as wanted:
        read(Decoding.of, tmp_path / "a")
    assert str(found.value) == str(wanted.value)
    with pytest.raises(OSError):
        MappedDecoding(tmp_path / "missing")


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_a_long_recording_is_never_in_memory(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, np.random.default_rng(0).normal(scale=0.1, size=(3_000_000, 2)), 48_000)
    assert path.stat().st_size > 9_000_000
    tracemalloc.start()
    with MappedDecoding(path) as decoding:
        total = sum(len(block) for block in decoding.blocks("int32"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 3_000_000 and peak < 9_000_000


@pytest.mark.skipif(not BAD.is_dir(), reason="no shared/audio beside the repository")
def test_bad_files_are_refused_for_the_same_reasons():
    for path in sorted(BAD.iterdir()):
        found = []
        for opened in (Decoding.of, MappedDecoding):
            try:
                with reasons(path):
                    found.append(read(opened, path))
            except AudioError as error:
                found.append(error.found)
        assert found[0] == found[1], path
