"""The measures that noise reduction decides by, each on input whose answer is known."""

import numpy as np
import pytest

from soundgate.audio.denoise import (
    HUM_RATE,
    _excess_db,
    _find_lines,
    _frame_powers,
    _in_frames,
    _per_sample,
    _ratio_db,
    _waves,
    measure_levels,
    si_sdr_db,
)

RATE = 1_000  # A frame is 40 samples, a hop 10.


def test_a_ratio_of_powers_is_in_db_and_limited_whatever_is_nothing():
    with np.errstate(divide="raise", invalid="raise"):
        assert _ratio_db(100.0, 1.0) == pytest.approx(20)
        assert _ratio_db(1.0, 2.0) == pytest.approx(-3.0103, abs=1e-4)
        assert (_ratio_db(1e30, 1.0), _ratio_db(1.0, 1e30)) == (100, -100)
        assert (_ratio_db(1.0, 0.0), _ratio_db(0.0, 1.0), _ratio_db(0.0, 0.0)) == (100, -100, 0)


def test_frames_are_40_ms_every_10_ms():
    wav = np.random.default_rng(0).standard_normal(205)
    found = _frame_powers(wav, RATE)
    np.testing.assert_allclose(found, [np.mean(wav[i : i + 40] ** 2) for i in range(0, 166, 10)])
    np.testing.assert_allclose(_frame_powers(wav[:7], RATE), [np.mean(wav[:7] ** 2)])


def test_samples_lie_in_a_chosen_frame_or_not():
    chosen = np.zeros(17, bool)
    chosen[[0, 2, 16]] = True
    expected = np.zeros(190, bool)
    for first in (0, 20, 160):
        expected[first : first + 40] = True
    np.testing.assert_array_equal(_in_frames(chosen, 190, RATE), expected)


def test_values_of_frames_stand_at_their_centres():
    found = _per_sample(np.array([1.0, 2.0, 5.0]), 60, RATE)
    assert found[[0, 20, 25, 30, 35, 40, 59]].tolist() == [1, 1, 1.5, 2, 3.5, 5, 5]


def test_quiet_and_active_frames_are_told_by_their_power():
    """Frames of five powers, far enough apart that none but its own lies in a level's reach."""
    powers = np.array([1.0, 1.9, 2.1, 90.0, 110.0, 10_000.0])
    wav = np.concatenate([np.full(800, np.sqrt(power)) for power in powers])
    wav *= np.tile([1.0, -1.0], len(wav) // 2)
    found = measure_levels(wav, RATE)
    np.testing.assert_array_equal(found.quiet, found.frames <= 10**0.3)
    np.testing.assert_array_equal(found.active, found.frames >= 100)
    noise = found.frames[found.frames <= 10**0.3].mean()
    speech = found.frames[found.frames >= 100].mean() - noise
    assert (found.noise_power, found.speech_power) == pytest.approx((noise, speech))
    assert found.snr_db == pytest.approx(10 * np.log10(speech / noise))
    for bad in (np.zeros(0), np.zeros((2, 5))):
        with pytest.raises(ValueError, match="expected samples"):
            measure_levels(bad, RATE)


def test_what_is_taken_from_active_frames_is_held_against_the_noise():
    wav = np.repeat([0.1, 10.0], 400) * np.tile([1.0, -1.0], 400)
    levels = measure_levels(wav, RATE)
    taken = np.where(np.arange(800) < 400, 5.0, 0.3)
    expected = _frame_powers(taken, RATE)[levels.active].mean() / levels.noise_power
    assert _excess_db(taken, levels, RATE) == pytest.approx(10 * np.log10(expected))


def test_distortion_is_what_no_gain_of_the_truth_explains():
    truth, other = np.array([1.0, 1.0, 1.0, 1.0]), np.array([1.0, -1.0, 1.0, -1.0])
    assert si_sdr_db(3 * truth + 0.3 * other, truth) == pytest.approx(20)
    assert si_sdr_db(-2 * truth, truth) == 100
    for estimate, bad in ((truth[:3], truth), (truth, 0 * truth)):
        with pytest.raises(ValueError, match="of one shape"):
            si_sdr_db(estimate, bad)


@pytest.mark.parametrize(("mains_hz", "orders"), [(49.9, (1, 3, 20)), (60.2, (2, 5, 16))])
def test_the_harmonics_that_stand_out_of_noise_are_found(mains_hz, orders):
    time_s = np.arange(20 * HUM_RATE) / HUM_RATE
    signal = sum(np.sin(2 * np.pi * mains_hz * order * time_s + order) for order in orders)
    found = _find_lines(signal + np.random.default_rng(0).standard_normal(len(time_s)))
    assert found == pytest.approx([mains_hz * order for order in orders], abs=0.03)
    assert len(_find_lines(np.random.default_rng(0).standard_normal(len(time_s)))) == 0


def test_the_waves_of_a_line_are_its_cosine_and_its_sine():
    time_s = np.array([0.0, 0.0025, 0.005])
    np.testing.assert_allclose(_waves(np.array([100.0]), time_s), [[1, 0], [0, 1], [-1, 0]], atol=1e-12)
