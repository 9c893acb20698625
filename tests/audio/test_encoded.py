import os

import numpy as np
import pytest
import soundfile

from soundgate.audio.encoded import CODINGS, OTHERS, writable, write_other
from soundgate.audio.exact import CONTAINERS, ExactAudio, read_exact
from soundgate.runtime.errors import AudioError


def tone(rate, channels=2, seconds=2.0, hz=440):
    t = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hz * t) * np.linspace(1, 0.5, channels)[:, None]).astype(np.float32)


@pytest.mark.parametrize("suffix", CODINGS)
@pytest.mark.parametrize(("rate", "mp3", "opus"), [(44_100, 44_100, 48_000), (48_000, 48_000, 48_000),
                                                   (96_000, 48_000, 48_000), (9_000, 11_025, 12_000)])  # fmt: skip
def test_lossy_formats_hold_the_sound_at_their_rates(tmp_path, suffix, rate, mp3, opus):
    path = tmp_path / os.fsdecode(b"\xff$ \"'" + suffix.encode())
    written = write_other(path, ExactAudio(tone(rate), rate, "FLOAT"))
    assert written == {".mp3": mp3, ".opus": opus}.get(suffix, rate)
    made = read_exact(path)
    assert made.samples.shape[0] == 2 and made.samples.shape[1] / made.sample_rate == pytest.approx(2, abs=0.1)
    inner = slice(made.sample_rate // 2, made.sample_rate)
    left, right = (np.sqrt(2 * np.mean(np.square(own[inner]))) for own in made.samples)
    assert left == pytest.approx(0.5, rel=0.03) and right == pytest.approx(0.25, rel=0.03)
    spectrum = np.abs(np.fft.rfft(made.samples[0][inner] * np.hanning(inner.stop - inner.start)))
    assert spectrum.argmax() * 2 == pytest.approx(440, abs=3)


@pytest.mark.parametrize("suffix", OTHERS)
def test_other_containers_hold_every_bit(tmp_path, suffix):
    values = np.random.default_rng(0).integers(-(2**15), 2**15, (2, 20_000)).astype(np.int32) << 16
    assert write_other(tmp_path / f"a{suffix}", ExactAudio(values, 44_100, "PCM_16")) == 44_100
    made, rate = soundfile.read(tmp_path / f"a{suffix}", dtype="int32", always_2d=True)
    assert rate == 44_100
    np.testing.assert_array_equal(made.T, values)


def test_sound_beyond_full_scale_is_limited(tmp_path):
    write_other(tmp_path / "a.ogg", ExactAudio(4 * tone(48_000), 48_000, "FLOAT"))
    assert np.abs(read_exact(tmp_path / "a.ogg").samples).max() < 1.3


@pytest.mark.parametrize("suffix", CODINGS)
def test_samples_may_lie_in_a_file(tmp_path, suffix):
    rate, samples = 96_000, np.lib.format.open_memmap(tmp_path / "wav.npy", "w+", np.float32, (1, 48_000))
    samples[:] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / rate)
    written = write_other(tmp_path / f"a{suffix}", ExactAudio(samples, rate, "FLOAT"))
    assert written <= rate and soundfile.info(tmp_path / f"a{suffix}").duration == pytest.approx(0.5, abs=0.1)


def test_what_holds_no_such_recording_is_refused_with_what_does(tmp_path):
    assert set(writable("PCM_16", 2)) == {*CONTAINERS, *CODINGS, *OTHERS}
    assert {".flac", ".mp3", ".voc"}.isdisjoint(writable("FLOAT", 3)) and ".opus" in writable("FLOAT", 3)
    with pytest.raises(
        AudioError, match=r"6 channels of PCM_24: \.wav, .*; or lossy: \.ogg, \.oga, \.opus; found '\.mp3'"
    ):
        write_other(tmp_path / "a.mp3", ExactAudio(np.zeros((6, 9), np.int32), 48_000, "PCM_24"))
    with pytest.raises(AudioError, match="found none"):
        write_other(tmp_path / "a", ExactAudio(tone(48_000), 48_000, "FLOAT"))
    assert not list(tmp_path.iterdir())
