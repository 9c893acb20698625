from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgate.audio import decoding
from soundgate.audio.containers import ContainerError
from soundgate.audio.decoding import MAX_PEAK
from soundgate.audio.exact import ExactAudio, read_exact, write_exact
from soundgate.audio.spooled import _check, open_exact, spooled
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


def test_an_array_lies_in_a_file_unless_it_is_empty(tmp_path):
    array = spooled((2, 5), np.dtype("int32"), tmp_path)
    assert isinstance(array, np.memmap) and array.shape == (2, 5) and not array.any()
    array[1, 3] = 7
    assert array.T.flags.c_contiguous and array.sum() == 7
    empty = spooled((2, 0), np.dtype("int32"), tmp_path)
    assert not isinstance(empty, np.memmap) and empty.shape == (2, 0)


def test_floats_up_to_the_largest_peak_are_audio_and_what_exceeds_it_either_way_is_not():
    block = np.zeros((3, 2))
    for sign in (1, -1):
        block[1, 1] = sign * MAX_PEAK
        _check(block)
        block[1, 1] = sign * MAX_PEAK * 1.001
        with pytest.raises(ContainerError, match="absurd header: samples reach"):
            _check(block)
    for value in (np.nan, np.inf, -np.inf):
        block[1, 1] = value
        with pytest.raises(ContainerError, match="non-finite: 1 of 6 samples"):
            _check(block)
    _check(np.full((3, 2), 2**31 - 1, np.int32))
