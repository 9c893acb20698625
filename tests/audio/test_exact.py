import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgate.audio.exact import ExactAudio, read_exact, write_exact
from soundgate.runtime.errors import AudioError

FORMATS = [
    ("wav", "PCM_U8"),
    ("wav", "PCM_16"),
    ("wav", "PCM_24"),
    ("wav", "PCM_32"),
    ("wav", "FLOAT"),
    ("wav", "DOUBLE"),
    ("flac", "PCM_16"),
    ("flac", "PCM_24"),
    ("aiff", "PCM_24"),
]
BITS = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}


def drawn(subtype, channels):
    rng = np.random.default_rng(0)
    if subtype not in BITS:
        return rng.uniform(-1.5, 1.5, (channels, 1_000)).astype({"FLOAT": "f4", "DOUBLE": "f8"}[subtype])
    values = rng.integers(-(2**31), 2**31, (channels, 1_000), dtype=np.int64)
    shift = 32 - BITS[subtype]
    return (values >> shift << shift).astype(np.int32)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(("extension", "subtype"), FORMATS)
def test_every_bit_comes_back(tmp_path, extension, subtype, channels):
    audio = ExactAudio(drawn(subtype, channels), 48_000, subtype)
    path = tmp_path / f"a.{extension}"
    write_exact(path, audio)
    again = read_exact(path)
    assert (again.sample_rate, again.subtype) == (48_000, subtype)
    np.testing.assert_array_equal(again.samples, audio.samples)
    write_exact(tmp_path / f"b.{extension}", again)
    assert read_exact(tmp_path / f"b.{extension}").samples.tobytes() == audio.samples.tobytes()


@pytest.mark.parametrize(("extension", "subtype"), [("wav", "PCM_24"), ("flac", "PCM_16"), ("aiff", "PCM_24")])
def test_names_that_are_not_utf8_hold_what_soundfile_writes_by_path(tmp_path, extension, subtype):
    path, plain = tmp_path / os.fsdecode(b"caf\xe9." + extension.encode()), tmp_path / f"plain.{extension}"
    write_exact(path, ExactAudio(drawn(subtype, 2), 48_000, subtype))
    soundfile.write(plain, drawn(subtype, 2).T, 48_000, subtype)
    assert path.read_bytes() == plain.read_bytes()
    assert set(tmp_path.iterdir()) == {path, plain}


def test_lossy_files_are_floats(tmp_path):
    soundfile.write(tmp_path / "a.ogg", drawn("FLOAT", 2).T.clip(-1, 1), 48_000)
    audio = read_exact(tmp_path / "a.ogg")
    assert audio.samples.dtype == np.float32 and audio.samples.shape == (2, 1_000)
    with pytest.raises(AudioError, match="a sample format without loss"):
        write_exact(tmp_path / "b.wav", audio)


@pytest.mark.parametrize("name", ["a.flac", "a.mp3", "a"])
def test_containers_that_do_not_hold_the_format_are_refused(tmp_path, name):
    with pytest.raises(AudioError, match="an extension whose container holds 1 channels of FLOAT: [.]wav"):
        write_exact(tmp_path / name, ExactAudio(drawn("FLOAT", 1), 48_000, "FLOAT"))


def test_nothing_is_no_file(tmp_path):
    with pytest.raises(AudioError, match="shape"):
        write_exact(tmp_path / "a.wav", ExactAudio(np.zeros((1, 0), np.float32), 48_000, "FLOAT"))


def test_broken_files_are_refused(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError):
        read_exact(tmp_path / "a.wav")


SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "audio" / "music"


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared/audio beside the repository")
def test_real_files_are_read_exactly():
    files = sorted(path for path in SHARED.rglob("*") if path.suffix in (".wav", ".flac"))
    assert files
    for path in files[:8]:
        audio = read_exact(path)
        frames, _ = soundfile.read(path, dtype=audio.samples.dtype.name, always_2d=True)
        np.testing.assert_array_equal(audio.samples, frames.T)


def test_computed_samples_are_rounded_to_the_format(tmp_path):
    samples = np.array([[0x7FFF, 0x8001, -0x7FFF, -0x8001, 2**31 - 1, -(2**31)]], np.int32)
    write_exact(tmp_path / "a.wav", ExactAudio(samples, 48_000, "PCM_16"))
    assert (read_exact(tmp_path / "a.wav").samples >> 16).tolist() == [[0, 1, 0, -1, 2**15 - 1, -(2**15)]]


@pytest.mark.parametrize(
    ("extension", "subtype", "bits"),
    [("aiff", "PCM_S8", 8), ("wav", "PCM_U8", 8), ("wav", "PCM_16", 16), ("wav", "PCM_24", 24), ("wav", "PCM_32", 32)],
)
def test_values_between_the_steps_of_a_format_go_to_the_nearest(tmp_path, extension, subtype, bits):
    step = 2 ** (32 - bits)
    wanted = np.array([[-(2**31), -3, 0, 1, 2, 2**31 // step - 1]]) * np.array([1, step, step, step, step, step])
    off = np.array([[0, -0.4, 0.4, -0.4, 0.5 - 1 / step, 0.9]]) if step > 1 else np.zeros((1, 6))
    samples = np.minimum(wanted + np.floor(off * step).astype(np.int64), 2**31 - 1).astype(np.int32)
    path = tmp_path / f"a.{extension}"
    write_exact(path, ExactAudio(samples, 8_000, subtype))
    assert read_exact(path).samples.tolist() == wanted.tolist()
