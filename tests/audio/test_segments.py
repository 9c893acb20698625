"""Trimming is relative to the recording, cutting is exact to the sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundgate.audio.segments import FRAME_S, cut, trim

RATE = 16_000
TONE = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)


def padded(level=1.0, noise=0.0):
    ends = np.zeros(RATE // 2, np.float32)
    wav = np.concatenate([ends, level * TONE, ends])
    return (wav + noise * np.cos(np.arange(len(wav)))).astype(np.float32)


@pytest.mark.parametrize("level", [1.0, 1e-3])
def test_silent_ends_go_whatever_the_level(level):
    wav = padded(level)
    kept, (start, stop) = trim(wav, RATE)
    np.testing.assert_array_equal(kept, wav[start:stop])
    margin = 2 * FRAME_S * RATE
    assert RATE / 2 - margin <= start <= RATE / 2 and 1.5 * RATE <= stop <= 1.5 * RATE + margin


def test_what_is_less_than_40_db_below_stays():
    assert len(trim(padded(noise=10 ** (-35 / 20)), RATE)[0]) == 2 * RATE
    assert len(trim(padded(noise=10 ** (-45 / 20)), RATE)[0]) < 1.3 * RATE
    assert len(trim(padded(noise=10 ** (-45 / 20)), RATE, top_db=50)[0]) == 2 * RATE
    assert len(trim(padded(noise=10 ** (-39.6 / 20)), RATE)[0]) > 1.9 * RATE
    assert len(trim(padded(noise=10 ** (-40.4 / 20)), RATE)[0]) < 1.3 * RATE


def test_a_pause_inside_stays():
    wav = np.concatenate([TONE, np.zeros(RATE, np.float32), TONE])
    np.testing.assert_array_equal(trim(wav, RATE)[0], wav)


def test_nothing_is_left_of_silence():
    kept, span = trim(np.zeros(RATE, np.float32), RATE)
    assert len(kept) == 0 and span == (0, 0)


@settings(deadline=None, max_examples=50)
@given(length=st.integers(0, 100), samples=st.integers(1, 40))
def test_windows_are_full_and_hold_every_sample(length, samples):
    wav = np.arange(1, length + 1, dtype=np.float32)
    windows, valid_samples = cut(wav, samples)
    assert windows.shape == (-(-length // samples), samples) and windows.dtype == np.float32
    assert (valid_samples == min(length, samples)).all()
    if length:
        np.testing.assert_array_equal(windows[-1][valid_samples[-1] - 1 :], [length, *[0] * max(samples - length, 0)])
    for number, window in enumerate(windows[:-1]):
        np.testing.assert_array_equal(window, wav[number * samples : (number + 1) * samples])
    for window in windows:
        assert (np.diff(window[: valid_samples[0]]) == 1).all()
    assert set(wav) == set(windows.ravel()) - {0}


def test_a_window_has_a_length():
    with pytest.raises(ValueError, match="0 samples"):
        cut(TONE, 0)
