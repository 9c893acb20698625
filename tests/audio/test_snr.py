"""Mixing counts the active frames alone, and leaves alone what has no power."""

import numpy as np
import pytest

from soundgate.audio.snr import active_frames, frame_energies, mix_at_snr

RATE = 1_000  # A frame is 20 samples.


def alternating(n, level):
    return (level * (-1.0) ** np.arange(n)).astype(np.float32)


def test_frames_are_20_ms_and_never_shorter_than_a_sample():
    wav = np.arange(1, 8, dtype=np.float32)
    assert frame_energies(wav, 20).tolist() == [1, 4, 9, 16, 25, 36, 49]  # 0.4 samples.
    assert frame_energies(wav, 50).tolist() == [1, 4, 9, 16, 25, 36, 49]
    assert frame_energies(wav, 150).tolist() == [1 + 4 + 9, 16 + 25 + 36, 49]


def test_a_frame_at_exactly_minus_40_db_is_active_and_nothing_is_of_a_signal_at_minus_200_dbfs():
    assert active_frames(np.array([1.0, 1e-4, 0.99e-4])).tolist() == [True, True, False]
    assert active_frames(np.array([1e-20, 1e-22])).tolist() == [False, False]
    assert active_frames(np.array([1.01e-20, 1e-22])).tolist() == [True, True]


def test_the_scale_of_the_noise_is_that_of_the_ratio_of_active_powers():
    """Power 0.25 in the active half, noise of power 4 there; the noise in the pause counts for nothing."""
    wav = np.concatenate([alternating(100, 0.5), np.zeros(100, np.float32)])
    noise = np.concatenate([np.full(100, 2.0), np.full(100, 7.0)]).astype(np.float32)
    mixture, achieved = mix_at_snr(wav, noise.copy(), 6.0, RATE, 200)
    scale = 0.25 * 10 ** (-6 / 20)
    np.testing.assert_allclose(mixture, wav + scale * noise, rtol=1e-5)
    assert achieved == pytest.approx(6.0, abs=1e-4)


@pytest.mark.parametrize("valid", [0, 100])
def test_a_noise_without_power_leaves_the_signal_itself(valid):
    wav = alternating(100, 0.5)
    mixture, achieved = mix_at_snr(wav, np.zeros(100, np.float32), 6.0, RATE, valid)
    assert mixture is wav and achieved is None


def test_a_signal_without_power_stays_itself():
    wav = np.zeros(100, np.float32)
    mixture, achieved = mix_at_snr(wav, np.ones(100, np.float32), 6.0, RATE, 100)
    assert mixture is wav and achieved is None


def test_power_of_one_is_power_like_any_other():
    """A signal and a noise whose active energies are exactly 1."""
    wav, noise = np.zeros(20, np.float32), np.zeros(20, np.float32)
    wav[0], noise[1] = 1, 1
    mixture, achieved = mix_at_snr(wav, noise, 0.0, RATE, 20)
    assert mixture[:2].tolist() == [1, 1] and achieved == 0


def test_a_noise_too_soft_to_change_the_samples_has_no_ratio():
    wav = alternating(100, 0.5)
    mixture, achieved = mix_at_snr(wav, np.ones(100, np.float32), 300.0, RATE, 100)
    np.testing.assert_array_equal(mixture, wav)
    assert achieved is None
