"""Loudness has the values that BS.1770 and EBU Tech 3341 give, and is finite for whatever comes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundgate.audio.loudness import loudness_lufs, normalise_loudness

RATE = 48_000


def sine(duration_s, level_dbfs, frequency_hz=997.0, rate=RATE):
    return (
        10 ** (level_dbfs / 20) * np.sin(2 * np.pi * frequency_hz * np.arange(int(duration_s * rate)) / rate)
    ).astype(np.float32)


@pytest.mark.parametrize(("level_dbfs", "expected"), [(0.0, -3.01), (-20.0, -23.01), (-30.0, -33.01)])
def test_a_sine_in_one_channel_is_3_db_below_its_level(level_dbfs, expected):
    assert loudness_lufs(sine(5, level_dbfs), RATE) == pytest.approx(expected, abs=0.1)


def test_gating_ignores_what_is_much_quieter():
    # EBU Tech 3341, case 3 (one channel instead of two: 3.01 LU less).
    wav = np.concatenate([sine(10, -36), sine(60, -23), sine(10, -36)])
    assert loudness_lufs(wav, RATE) == pytest.approx(-26.0, abs=0.1)


def test_a_rate_does_not_change_loudness():
    assert loudness_lufs(sine(2, -20, rate=16_000), 16_000) == pytest.approx(-23.01, abs=0.15)


def test_short_signals_are_measured_repeated():
    # 0.1 s hold 100 whole periods of 1 kHz, so repeating gives the long sine.
    short, long = sine(0.1, -20, 1000.0), sine(0.4, -20, 1000.0)
    assert loudness_lufs(short, RATE) == pytest.approx(loudness_lufs(long, RATE), abs=1e-6)
    assert np.isfinite(loudness_lufs(np.array([0.5], np.float32), RATE))


def test_below_the_absolute_gate_loudness_still_follows_the_level():
    assert loudness_lufs(sine(1, -100), RATE) == pytest.approx(loudness_lufs(sine(1, -20), RATE) - 80, abs=1e-3)


def test_silence_has_no_loudness_and_gets_no_gain():
    silence = np.zeros(RATE, np.float32)
    assert loudness_lufs(silence, RATE) is None
    wav, gain_db = normalise_loudness(silence, RATE, -23.0)
    assert gain_db == 0.0 and not wav.any()


def test_shapes_are_checked():
    for wav in (np.zeros((1, 100)), np.zeros(0)):
        with pytest.raises(ValueError, match="samples"):
            loudness_lufs(wav, RATE)


@settings(deadline=None, max_examples=20)
@given(level_dbfs=st.floats(-60, 0), duration_s=st.floats(0.01, 2), target=st.floats(-40, -10))
def test_normalising_reaches_the_target(level_dbfs, duration_s, target):
    wav = sine(duration_s, level_dbfs)
    scaled, gain_db = normalise_loudness(wav, RATE, target)
    assert scaled.dtype == np.float32
    assert loudness_lufs(scaled, RATE) == pytest.approx(target, abs=0.01)
    np.testing.assert_allclose(scaled, wav * 10 ** (gain_db / 20), rtol=1e-5, atol=1e-9)


def test_of_silence_nothing_is_computed():
    with np.errstate(all="raise"):
        assert loudness_lufs(np.zeros(RATE, np.float32), RATE) is None
