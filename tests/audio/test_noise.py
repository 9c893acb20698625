"""Noise has the spectrum its colour promises, measured from the samples."""

import numpy as np
import pytest

from soundgate.audio.noise import HUM_HARMONICS, coloured_noise, mains_hum

RATE = 48_000
LENGTH = 10 * RATE
BROADBAND = ["white", "pink", "brown", "hvac"]


def density(wav):
    """Power a hertz, and its frequencies."""
    power = np.abs(np.fft.rfft(wav.astype(np.float64))) ** 2
    return power, np.fft.rfftfreq(len(wav), 1 / RATE)


def octave_levels_db(wav, lowest, count):
    power, frequency = density(wav)
    edges = lowest * 2.0 ** np.arange(count + 1)
    bands = [power[(frequency >= a) & (frequency < b)].mean() for a, b in zip(edges, edges[1:], strict=False)]
    return 10 * np.log10(bands)


@pytest.mark.parametrize(("colour", "slope_db"), [("white", 0.0), ("pink", -3.0103), ("brown", -6.0206)])
def test_colour_falls_by_its_slope_in_every_octave(colour, slope_db):
    levels = octave_levels_db(coloured_noise(colour, LENGTH, RATE, seed=3), lowest=40, count=9)
    assert np.polyfit(np.arange(9), levels, 1)[0] == pytest.approx(slope_db, abs=0.06)
    np.testing.assert_allclose(np.diff(levels), slope_db, atol=0.8)


def test_hvac_is_flat_in_its_band_and_falls_by_12_db_an_octave_above():
    noise = coloured_noise("hvac", LENGTH, RATE, seed=3)
    inside = octave_levels_db(noise, lowest=90, count=2)
    assert abs(inside[1] - inside[0]) < 1
    above = octave_levels_db(noise, lowest=3_000, count=2)
    assert above[1] - above[0] == pytest.approx(-12.04, abs=0.3)
    below = octave_levels_db(noise, lowest=20, count=3)
    assert below[0] < below[2] - 6


@pytest.mark.parametrize("colour", BROADBAND)
def test_broadband_noise_has_power_one_and_nothing_below_hearing(colour):
    noise = coloured_noise(colour, LENGTH, RATE, seed=8)
    assert noise.dtype == np.float32
    assert np.mean(noise.astype(np.float64) ** 2) == pytest.approx(1, rel=0.2)
    power, frequency = density(noise)
    assert power[frequency < 19.9].sum() < 1e-9 * power.sum()


@pytest.mark.parametrize("colour", BROADBAND)
@pytest.mark.parametrize("samples", [1, 7, 4_801, 240_001])
def test_any_length_is_served_and_the_seed_alone_decides(colour, samples):
    noise = coloured_noise(colour, samples, RATE, seed=5)
    assert noise.shape == (samples,)
    assert np.isfinite(noise).all()
    assert noise.tobytes() == coloured_noise(colour, samples, RATE, seed=5).tobytes()
    assert noise.tobytes() != coloured_noise(colour, samples, RATE, seed=6).tobytes()


@pytest.mark.parametrize("mains_hz", [50, 60])
@pytest.mark.parametrize("rate", [48_000, 44_100, 11_025])
def test_hum_is_lines_at_the_harmonics_and_nothing_else(mains_hz, rate):
    hum = mains_hum(mains_hz, 3 * rate, rate, seed=1).astype(np.float64)
    amplitude = 2 * np.abs(np.fft.rfft(hum)) / len(hum)
    lines = 3 * mains_hz * np.arange(1, HUM_HARMONICS + 1)
    relative_db = 20 * np.log10(amplitude[lines] * np.arange(1, HUM_HARMONICS + 1) / amplitude[lines[0]])
    assert np.abs(relative_db).max() <= 12
    assert np.ptp(relative_db) > 1
    others = np.delete(amplitude, lines)
    assert others.max() < 1e-5 * amplitude[lines].max()
    assert np.mean(hum**2) == pytest.approx(1, rel=1e-4)


def test_harmonics_above_half_the_rate_are_left_out():
    hum = mains_hum(60, 400, 400, seed=2).astype(np.float64)
    amplitude = np.abs(np.fft.rfft(hum))
    assert set(np.flatnonzero(amplitude > 1e-3 * amplitude.max())) == {60, 120, 180}


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="colour: expected one of white, pink"):
        coloured_noise("blue", 10, RATE, 0)
    with pytest.raises(ValueError, match="samples"):
        coloured_noise("white", 0, RATE, 0)
    with pytest.raises(ValueError, match="samples"):
        mains_hum(50, 0, RATE, 0)
    with pytest.raises(ValueError, match="mains_hz"):
        mains_hum(60, 10, 120, 0)
    for mains_hz in (0, 60):
        with pytest.raises(ValueError, match=f"expected above 0 and below 60 Hz, found {mains_hz}"):
            mains_hum(mains_hz, 10, 120, 0)


def test_hum_has_twelve_harmonics_and_its_first_ones_are_within_6_db_of_their_amplitudes():
    ratios = []
    for seed in range(40):
        amplitude = np.abs(np.fft.rfft(mains_hum(50, RATE, RATE, seed).astype(np.float64)))
        lines = np.flatnonzero(amplitude > 1e-3 * amplitude.max())
        assert lines.tolist() == [50 * order for order in range(1, 13)]
        ratios.append(20 * np.log10(amplitude[lines] * np.arange(1, 13)))
    spread = np.ptp(np.array(ratios) - np.array(ratios)[:, :1], axis=0)[1:]
    assert 15 < spread.min() and spread.max() <= 24


def test_hvac_falls_by_the_fourth_power_on_both_sides_of_45_to_710_hz():
    density = np.mean([np.abs(np.fft.rfft(coloured_noise("hvac", RATE, RATE, seed))) ** 2 for seed in range(60)], 0)
    frequency = np.fft.rfftfreq(RATE, 1 / RATE)

    def level(low, high):
        inside = (frequency >= low) & (frequency <= high)
        shape = 1 / ((1 + (45 / frequency[inside]) ** 4) * (1 + (frequency[inside] / 710) ** 4))
        return 10 * np.log10(density[inside].mean() / shape.mean())

    middle = level(150, 250)
    for low, high in ((21, 26), (30, 36), (42, 50), (600, 800), (1_500, 2_500), (8_000, 12_000)):
        assert level(low, high) == pytest.approx(middle, abs=1.0)
