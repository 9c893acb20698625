from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgate.audio import decoding
from soundgate.audio.exact import ExactAudio, read_exact, write_exact
from soundgate.audio.spooled import open_exact
from soundgate.runtime.errors import AudioError
from tests.audio.test_exact import FORMATS, drawn

BAD = Path(__file__).resolve().parents[2].parent / "shared" / "audio" / "bad"


@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize(("extension", "subtype"), FORMATS)
@pytest.mark.parametrize("block", [300, 2**18])
def test_it_reads_what_the_reader_in_memory_reads(tmp_path, extension, subtype, channels, block, monkeypatch):
    monkeypatch.setattr(decoding, "BLOCK_FRAMES", block)
    path = tmp_path / f"a.{extension}"
    write_exact(path, ExactAudio(drawn(subtype, channels), 48_000, subtype))
    wanted, found = read_exact(path), open_exact(path, tmp_path)
    assert (found.sample_rate, found.subtype) == (48_000, subtype) and found.samples.dtype == wanted.samples.dtype
    np.testing.assert_array_equal(found.samples, wanted.samples)
    assert list(tmp_path.iterdir()) == [path]


def test_silence_is_audio_and_what_is_broken_is_not(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(5_000), 44_100)
    assert not open_exact(path, tmp_path).samples.any()
    for content in (b"", path.read_bytes()[:-20], b"version https://git-lfs.github.com/spec/v1", b"RIFF"):
        (tmp_path / "b").write_bytes(content)
        with pytest.raises(AudioError):
            open_exact(tmp_path / "b", tmp_path)
    soundfile.write(tmp_path / "c.wav", np.full(10, np.nan), 44_100, subtype="FLOAT")
    with pytest.raises(AudioError, match="non-finite"):
        open_exact(tmp_path / "c.wav", tmp_path)
    with pytest.raises(AudioError, match="unreadable"):
        open_exact(tmp_path / "none.wav", tmp_path)


@pytest.mark.skipif(not BAD.is_dir(), reason="no shared/audio beside the repository")
def test_bad_files_are_refused_for_the_same_reasons(tmp_path):
    for path in sorted(BAD.iterdir()):
        reasons = []
        for read in (read_exact, lambda path: open_exact(path, tmp_path)):
            try:
                reasons.append(read(path).samples.tobytes())
            except AudioError as error:
                reasons.append(error.found.removesuffix(" of a block"))
        if not str(reasons[0]).startswith("all zero"):
            assert reasons[0] == reasons[1], path
