"""Filters have the gains their formulas promise, measured on impulses and sines."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from soundgate.audio.filters import (
    HIGH_SHELF_HZ,
    LOW_SHELF_HZ,
    MID_PEAK_HZ,
    MID_PEAK_Q,
    equaliser_sections,
    pass_sections,
    run_sections,
)

RATE = 48_000


def gain_db(sections, frequency_hz):
    """Gain measured on the impulse response as it comes out of `run_sections`."""
    impulse = np.zeros(RATE, np.float32)
    impulse[0] = 1
    response = np.fft.rfft(run_sections(sections, impulse).astype(np.float64))
    return 20 * np.log10(np.abs(response[round(frequency_hz)]))


@pytest.mark.parametrize("cutoff_hz", [60, 300])
def test_high_pass_is_3_db_down_at_its_cutoff_and_falls_by_12_db_an_octave(cutoff_hz):
    sections = pass_sections("high", cutoff_hz, RATE)
    assert gain_db(sections, cutoff_hz) == pytest.approx(-3.0103, abs=0.01)
    assert gain_db(sections, cutoff_hz * 10) == pytest.approx(0, abs=0.01)
    assert gain_db(sections, cutoff_hz / 5) - gain_db(sections, cutoff_hz / 10) == pytest.approx(12.04, abs=0.05)


@pytest.mark.parametrize("cutoff_hz", [3_000, 16_000])
def test_low_pass_is_3_db_down_at_its_cutoff_and_passes_what_is_below(cutoff_hz):
    sections = pass_sections("low", cutoff_hz, RATE)
    assert gain_db(sections, cutoff_hz) == pytest.approx(-3.0103, abs=0.01)
    assert gain_db(sections, cutoff_hz / 10) == pytest.approx(0, abs=0.01)
    assert gain_db(sections, 23_000) < -12


@pytest.mark.parametrize("gain", [-12.0, -3.0, 6.0, 12.0])
def test_each_band_of_the_equaliser_has_its_gain_where_it_is_defined(gain):
    low, high = equaliser_sections(gain, 0, 0, RATE), equaliser_sections(0, 0, gain, RATE)
    middle = equaliser_sections(0, gain, 0, RATE)
    assert gain_db(low, 0) == pytest.approx(gain, abs=0.01)
    assert gain_db(low, LOW_SHELF_HZ) == pytest.approx(gain / 2, abs=0.01)
    assert gain_db(low, 10_000) == pytest.approx(0, abs=0.05)
    assert gain_db(middle, MID_PEAK_HZ) == pytest.approx(gain, abs=0.01)
    assert gain_db(middle, 0) == pytest.approx(0, abs=0.01)
    assert gain_db(middle, RATE / 2) == pytest.approx(0, abs=0.01)
    assert gain_db(high, RATE / 2) == pytest.approx(gain, abs=0.01)
    assert gain_db(high, HIGH_SHELF_HZ) == pytest.approx(gain / 2, abs=0.01)
    assert gain_db(high, 100) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("gain", [-9.0, 12.0])
def test_equaliser_bands_follow_their_analogue_prototypes(gain):
    """The cookbook's prototypes H(s), with s on the axis that the bilinear transform warps."""
    a = 10 ** (gain / 40)
    slope, q = np.sqrt(2 * a), MID_PEAK_Q
    bands = {
        LOW_SHELF_HZ: ((gain, 0, 0), lambda s: a * (s**2 + slope * s + a) / (a * s**2 + slope * s + 1)),
        MID_PEAK_HZ: ((0, gain, 0), lambda s: (s**2 + s * a / q + 1) / (s**2 + s / (a * q) + 1)),
        HIGH_SHELF_HZ: ((0, 0, gain), lambda s: a * (a * s**2 + slope * s + 1) / (s**2 + slope * s + a)),
    }
    for centre, (gains, prototype) in bands.items():
        for frequency in (100, 200, 700, 1_000, 3_000, 8_000, 15_000):
            s = 1j * np.tan(np.pi * frequency / RATE) / np.tan(np.pi * centre / RATE)
            expected = 20 * np.log10(abs(prototype(s)))
            assert gain_db(equaliser_sections(*gains, RATE), frequency) == pytest.approx(expected, abs=0.01)


def test_gains_of_the_bands_add_in_db():
    together = equaliser_sections(6, -9, 4, RATE)
    for frequency in (30, 400, 1_500, 7_000, 20_000):
        parts = [equaliser_sections(*gains, RATE) for gains in ((6, 0, 0), (0, -9, 0), (0, 0, 4))]
        assert gain_db(together, frequency) == pytest.approx(sum(gain_db(part, frequency) for part in parts), abs=0.01)


def test_a_flat_equaliser_changes_nothing():
    wav = np.random.default_rng(0).standard_normal(5_000).astype(np.float32)
    np.testing.assert_allclose(run_sections(equaliser_sections(0, 0, 0, RATE), wav), wav, rtol=1e-6, atol=2e-10)


def test_the_lowest_high_pass_is_exact_to_float32():
    wav = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    sections = butter(2, 60, "high", fs=RATE, output="sos")
    truth = sosfilt(sections, wav.astype(np.float64))
    error = run_sections(pass_sections("high", 60, RATE), wav) - truth
    assert 10 * np.log10(np.mean(error**2) / np.mean(truth**2)) < -140


def test_what_keeps_denormals_away_stays_at_minus_200_db():
    wav = np.zeros(RATE, np.float32)
    before = wav.tobytes()
    for sections in (pass_sections("high", 60, RATE), pass_sections("low", 3_000, RATE)):
        out = np.abs(run_sections(sections, wav))
        assert np.count_nonzero(out) > 0.9 * len(out)
        assert out.max() <= 1.5e-10
        assert not ((out > 0) & (out < np.finfo(np.float32).tiny)).any()
    assert wav.tobytes() == before


def test_frequencies_the_rate_cannot_carry_are_refused():
    for cutoff_hz in (0, 8_000, 9_000):
        with pytest.raises(ValueError, match="cutoff_hz"):
            pass_sections("low", cutoff_hz, 16_000)
    with pytest.raises(ValueError, match="high shelf"):
        equaliser_sections(1, 1, 1, 10_000)


def test_the_message_names_half_the_rate_and_the_bands_are_the_documented_ones():
    with pytest.raises(ValueError, match="expected above 0 and below 8000 Hz, found 8000"):
        pass_sections("low", 8_000, 16_000)
    assert (LOW_SHELF_HZ, MID_PEAK_HZ, HIGH_SHELF_HZ, MID_PEAK_Q) == (250, 1_500, 5_000, 0.7)
    assert pass_sections("high", 0.5, 16_000).shape == (1, 6)
