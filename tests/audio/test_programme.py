import numpy as np
import pytest
from pyloudnorm import Meter

from soundgate.audio import programme
from soundgate.audio.programme import programme_loudness_lufs, true_peak

RATE = 48_000


def drawn(channels, seconds=9):
    rng = np.random.default_rng(channels)
    loud = np.repeat([0.2, 0.001, 0.1], seconds * RATE // 3)
    return rng.normal(size=(channels, len(loud))) * loud * rng.uniform(0.5, 2, (channels, 1))


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("chunk_s", [1, 20])
def test_it_is_the_standards_loudness_whatever_the_blocks(channels, chunk_s, monkeypatch):
    monkeypatch.setattr(programme, "_CHUNK_S", chunk_s)
    wav = drawn(channels)
    assert programme_loudness_lufs(wav, RATE) == pytest.approx(Meter(RATE).integrated_loudness(wav.T), abs=0.02)
    as_integers = (wav / np.abs(wav).max() * 2**30).astype(np.int32)
    scaled = programme_loudness_lufs(as_integers / 2**31, RATE)
    assert programme_loudness_lufs(as_integers, RATE) == pytest.approx(scaled, abs=1e-6)


def test_the_low_frequency_channel_does_not_count():
    wav = drawn(6)
    without = programme_loudness_lufs(np.delete(wav, 3, axis=0), RATE)
    assert programme_loudness_lufs(wav, RATE) == pytest.approx(without)


def test_silence_and_next_to_nothing_have_no_loudness():
    assert programme_loudness_lufs(np.zeros((2, RATE)), RATE) is None
    assert programme_loudness_lufs(np.ones((1, 10)), RATE) is None


def test_the_true_peak_lies_between_samples():
    # A sine at a quarter of the rate, sampled 45 degrees off its peaks.
    wave = np.sin(np.pi / 2 * np.arange(RATE) + np.pi / 4)[None]
    assert np.abs(wave).max() == pytest.approx(0.7071, abs=1e-3)
    fade = np.minimum(1, np.arange(RATE) / 1_000)[None] * np.minimum(1, np.arange(RATE)[::-1] / 1_000)[None]
    assert true_peak(wave * fade, RATE) == pytest.approx(1, abs=0.01)
