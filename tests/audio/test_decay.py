"""Room measures on responses whose reverberation, clarity and spectrum are known beforehand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundgate.audio.decay import (
    CLARITY_LIMIT_DB,
    RoomAcoustics,
    bandwidth_hz,
    clarity_db,
    decay_curve_db,
    decay_range_db,
    find_direct,
    measure_room,
    rt60_s,
    spectral_centroid_hz,
)
from soundgate.audio.io import resample

RATE = 48_000


def envelope(rt60, duration, rate=RATE):
    return 10 ** (-3 * np.arange(round(duration * rate)) / (rt60 * rate))


def room(rt60, duration, noise_db=None, seed=0):
    """White noise that decays by 60 dB in ``rt60``, over a steady noise floor below its start."""
    draws = np.random.default_rng(seed)
    ir = draws.standard_normal(round(duration * RATE)) * envelope(rt60, duration)
    if noise_db is not None:
        ir += draws.standard_normal(len(ir)) * 10 ** (-noise_db / 20)
    return ir


def rt60_of(ir):
    return rt60_s(decay_curve_db(ir, RATE), RATE)


@pytest.mark.parametrize("rt60", [0.05, 0.2, 0.5, 1.0, 3.0])
def test_an_ideal_exponential_has_its_own_reverberation_time(rt60):
    assert rt60_of(envelope(rt60, 1.5 * rt60)) == pytest.approx(rt60, rel=1e-3)


@pytest.mark.parametrize("rt60", [0.2, 0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("noise_db", [None, 70, 50])
@pytest.mark.parametrize("duration", ["short", 5.0])
def test_reverberation_time_does_not_depend_on_noise_or_length(rt60, noise_db, duration):
    ir = room(rt60, 1.2 * rt60 if duration == "short" else duration, noise_db)
    assert rt60_of(ir) == pytest.approx(rt60, rel=0.015)


@pytest.mark.parametrize("rt60", [0.5, 1.0, 2.0])
def test_without_compensation_the_noise_would_spoil_it(rt60):
    """The floor matters: the plain backward integral misses by far what the compensated one keeps."""
    energy = np.cumsum(np.square(room(rt60, 5.0, 50))[::-1])[::-1]
    plain = 10 * np.log10(energy / energy[0])
    assert abs(rt60_s(plain, RATE) / rt60 - 1) > 0.1


@pytest.mark.parametrize("noise_db", [30, 40, 50, 60])
def test_the_decay_range_is_the_distance_to_the_noise(noise_db):
    curve = decay_curve_db(room(1.0, 3.0, noise_db), RATE)
    assert decay_range_db(curve) == pytest.approx(noise_db, abs=1)
    assert curve[0] == 0


@pytest.mark.parametrize("share", [0.5, 0.6, 0.8])
def test_a_response_cut_before_its_noise_reaches_its_end(share):
    """A tail that still falls is no noise: nothing is subtracted, and the missing energy is added."""
    ir = room(1.0, share)
    curve = decay_curve_db(ir, RATE)
    assert len(curve) == len(ir) - find_direct(ir, RATE) + min(find_direct(ir, RATE), RATE // 1000)
    assert decay_range_db(curve) == pytest.approx(60 * share, abs=1)
    assert rt60_s(curve, RATE) == pytest.approx(1.0, rel=0.02)


def test_the_evaluated_range_shrinks_with_the_decay():
    """Double slope: T30 sees both parts, T20 and T15 mostly the first."""
    curve = np.interp(np.arange(RATE), [0, 0.2 * RATE, RATE], [0.0, -20.0, -60.0])
    t15 = rt60_s(curve[curve > -26], RATE)
    t20 = rt60_s(curve[curve > -31], RATE)
    t30 = rt60_s(curve, RATE)
    assert t15 == pytest.approx(0.6, rel=1e-6)
    assert t15 < t20 < t30
    assert rt60_s(curve[curve > -24.9], RATE) is None
    assert rt60_s(np.empty(0), RATE) is None


def test_sparse_late_echoes_are_no_noise_floor():
    """Bursts with silence between them, as simulated rooms have: their tail is not steady."""
    ir = room(1.0, 0.7)
    time = np.arange(len(ir)) / RATE
    ir *= 10 ** (-8 * np.square(np.sin(np.pi * time / 0.1)))
    assert decay_range_db(decay_curve_db(ir, RATE)) > 36
    assert rt60_of(ir) == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("rt60", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("early_s", [0.05, 0.08])
def test_clarity_of_an_ideal_exponential(rt60, early_s):
    """C = 10 log10(exp(13.8 t / T) - 1)."""
    expected = 10 * math.log10(10 ** (6 * early_s / rt60) - 1)
    ir = envelope(rt60, 4.0)
    assert clarity_db(ir, RATE, early_s) == pytest.approx(expected, abs=0.01)
    delayed = np.concatenate([np.zeros(5000), ir])
    assert clarity_db(delayed, RATE, early_s) == pytest.approx(expected, abs=0.01)


def test_clarity_of_two_impulses():
    ir = np.zeros(RATE)
    ir[1000], ir[1000 + 2399], ir[1000 + 2400] = 1, 0.5, 0.25
    assert clarity_db(ir, RATE) == pytest.approx(10 * math.log10(1.25 / 0.0625), abs=1e-9)
    ir[1000 + 2400] = 0
    assert clarity_db(ir, RATE) == CLARITY_LIMIT_DB


def test_the_direct_sound_of_an_impulse():
    for position in (0, 1, 1234, 4799):
        ir = np.zeros(4800)
        ir[position] = -0.3
        assert find_direct(ir, RATE) == position


@pytest.mark.parametrize("gap", [2, 20, 100, 240])
def test_a_stronger_reflection_is_not_the_direct_sound(gap):
    ir = np.zeros(4800)
    ir[1000], ir[1000 + gap] = 0.6, -1.0
    assert find_direct(ir, RATE, 0.005) == 1000
    ir[1000] = 0.4
    assert find_direct(ir, RATE, 0.005) == 1000 + gap


def test_the_look_back_ends():
    ir = np.zeros(4800)
    ir[1000], ir[1241] = 0.6, 1.0
    assert find_direct(ir, RATE, 0.005) == 1241
    assert find_direct(ir, RATE, 0.006) == 1000


def test_the_ringing_of_a_resampled_impulse_is_not_the_direct_sound():
    for position in range(300, 400):
        ir = np.zeros((1, 32_000), np.float32)
        ir[0, position] = 1
        assert abs(find_direct(resample(ir, 32_000, RATE)[0], RATE) - position * 1.5) <= 0.5


@settings(deadline=None, max_examples=15)
@given(
    gain=st.floats(1e-4, 60.0),
    delay=st.integers(0, 7000),
    seed=st.integers(0, 2**16),
    rt60=st.floats(0.2, 1.0),
)
def test_gain_and_delay_change_no_measure_of_time(gain, delay, seed, rt60):
    ir = room(rt60, 1.0, 60, seed)
    direct = find_direct(ir, RATE)
    ir[:direct] = 0
    moved = np.concatenate([np.zeros(delay), gain * ir])
    assert find_direct(moved, RATE) == direct + delay
    first, second = measure_room(ir, RATE), measure_room(moved, RATE)
    assert second.decay_range_db == pytest.approx(first.decay_range_db, abs=0.5)
    assert second.rt60_s == pytest.approx(first.rt60_s, rel=1e-3)
    assert second.c50_db == pytest.approx(first.c50_db, abs=1e-2)
    assert second.spectral_centroid_hz == pytest.approx(first.spectral_centroid_hz, rel=1e-3)


def test_an_impulse_has_no_reverberation():
    ir = np.zeros(RATE, np.float32)
    ir[100] = 1
    assert measure_room(ir, RATE) == RoomAcoustics(None, CLARITY_LIMIT_DB, pytest.approx(RATE / 4), RATE / 2, 0.0)
    assert measure_room(np.ones(1, np.float32), RATE).rt60_s is None


def test_steady_noise_has_no_reverberation():
    measured = measure_room(np.random.default_rng(0).standard_normal(RATE), RATE)
    assert measured.rt60_s is None
    assert measured.decay_range_db < 15


@pytest.mark.parametrize("frequency", [100.0, 1000.0, 15_000.0])
def test_the_centroid_of_a_sine_is_its_frequency(frequency):
    sine = np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)
    assert spectral_centroid_hz(sine, RATE) == pytest.approx(frequency, rel=1e-6)


def test_the_bandwidth_shows_what_a_resampled_response_lacks():
    narrow = np.pad(room(0.5, 1.0)[None, :32_000].astype(np.float32), ((0, 0), (100, 0)))
    assert bandwidth_hz(resample(narrow, 32_000, RATE)[0], RATE) == pytest.approx(16_000, abs=400)
    assert bandwidth_hz(room(0.5, 1.0), RATE) == RATE / 2
    sine = np.sin(2 * np.pi * 1050.0 * np.arange(RATE) / RATE)
    assert bandwidth_hz(sine, RATE) == 1100


def test_clarity_does_not_hear_the_noise_floor():
    """Five seconds of noise would cost several dB."""
    quiet = measure_room(room(0.2, 5.0), RATE).c50_db
    noisy = room(0.2, 5.0, 45)
    assert measure_room(noisy, RATE).c50_db == pytest.approx(quiet, abs=0.3)
    assert clarity_db(noisy, RATE) < quiet - 1
