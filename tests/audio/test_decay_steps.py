"""The steps by which the end of a decay is found, each on input whose answer is known."""

import numpy as np
import pytest

from soundgate.audio.decay import (
    DIRECT_SHARE,
    _block_means,
    _is_steady,
    _late_decay,
    _Line,
    _noise_power,
    _still_falls,
    _within,
    bandwidth_hz,
    clarity_db,
    decay_range_db,
    find_direct,
    measure_room,
    rt60_s,
    spectral_centroid_hz,
)

RATE = 1_000  # 10 ms are 10 samples.


def test_blocks_are_10_ms_aligned_to_the_end():
    tail = np.arange(203.0)
    found = _block_means(tail, RATE)
    assert found.tolist() == [tail[3 + 10 * i : 13 + 10 * i].mean() for i in range(20)]


def test_a_short_tail_has_blocks_of_a_twentieth_and_at_least_a_sample():
    assert (_within(10, 200), _within(10, 199), _within(10, 5), _within(3, 1_000)) == (10, 9, 1, 3)
    assert _block_means(np.arange(43.0), RATE).tolist() == [1.5 + 2 * i for i in range(21)]


def test_the_noise_is_the_median_of_the_blocks_that_sound():
    tail = np.repeat([0.0, 1.0, 0.0, 2.0, 0.0, 9.0] + [0.0] * 14, 10)
    assert _noise_power(tail, RATE) == 2.0


@pytest.mark.parametrize(("ratio_db", "steady"), [(11.9, True), (12.1, False)])
def test_a_tail_whose_quartiles_lie_within_12_db_is_steady(ratio_db, steady):
    loud = 10 ** (ratio_db / 10)
    tail = np.repeat([1.0] * 10 + [loud] * 10, 10)
    assert _is_steady(tail, RATE) == steady
    assert _is_steady(np.repeat([0.0] * 4 + [1.0] * 12 + [1e6] * 4, 10), RATE)


@pytest.mark.parametrize(("share", "falls"), [(0.49, False), (0.51, True)])
def test_a_tail_that_falls_half_as_fast_as_the_decay_still_falls(share, falls):
    """Between the halves' means lie half as many dB as over all of a line through their centres."""
    slope, n = -0.1, 400
    tail = 10 ** (share * slope * np.arange(n) / 10)
    assert _still_falls(tail, slope) == falls
    assert _still_falls(np.ones(1), slope) and _still_falls(np.repeat([0.0, 1.0], 5), slope)


def test_a_lines_energy_is_the_integral_of_its_power():
    line = _Line(-3.0, -0.002)
    samples = np.arange(100, 60_000)
    total = (10 ** ((line.level + line.slope * (samples + 0.5)) / 10)).sum()
    assert line.energy_from(100) == pytest.approx(total, rel=1e-6)


def test_the_line_is_fitted_from_30_to_10_db_above_the_noise():
    """Three slopes; the middle one lies from -30 to -50 dB, the noise at -60."""
    interval, noise = 10, 1e-6
    levels = np.concatenate([np.arange(0, -30, -3.0), np.arange(-30, -50.5, -1.0), np.arange(-51, -90, -6.0)])
    power = np.repeat(10 ** (levels / 10), interval)
    line = _late_decay(power, interval, noise)
    assert line.slope == pytest.approx(-1 / interval)
    assert line.level + line.slope * (10.5 * interval) == pytest.approx(-30)


def test_a_line_needs_two_intervals_above_the_noise_and_falls():
    power = np.repeat([1.0, 0.0, 0.0, 0.0], 10)
    assert _late_decay(power, 10, 1e-3) is None
    assert _late_decay(power, 10, 10.0) is None
    assert _late_decay(np.repeat([1.0, 1.0, 1.0, 1.0], 10), 10, 1e-3) is None
    steep = _late_decay(np.repeat([1.0, 0.05, 1e-9, 1e-9], 10), 10, 1e-3)
    assert steep.slope == pytest.approx(10 * np.log10(0.05) / 10)


def test_the_first_peak_of_at_least_half_the_largest_is_the_direct_sound():
    ir = np.zeros(200)
    ir[[100, 101, 102, 130]] = 0.4, 0.5, 0.45, -1.0
    assert DIRECT_SHARE == 0.5
    assert find_direct(ir, RATE) == 101
    ir[101] = 0.499
    assert find_direct(ir, RATE) == 130
    ir[[60, 130]] = 0.0, 0.0
    assert find_direct(ir, RATE) == 101


@pytest.mark.parametrize(("before", "found"), [(50, 80), (51, 130)])
def test_the_direct_sound_lies_within_50_ms_of_the_largest(before, found):
    ir = np.zeros(200)
    ir[130 - before], ir[130] = 0.6, 1.0
    assert find_direct(ir, RATE) == found


def test_clarity_is_the_energy_up_to_50_ms_over_that_from_there():
    ir = np.zeros(300)
    ir[[99, 100, 149, 150, 250]] = 0.2, 1.0, 0.3, 0.4, 0.5
    ir[97] = 0.3  # More than 1 ms before the direct sound: it does not count.
    early, late = 0.2**2 + 1 + 0.3**2, 0.4**2 + 0.5**2
    assert clarity_db(ir, RATE) == pytest.approx(10 * np.log10(early / late))
    early, late = early + 0.4**2, 0.5**2
    assert clarity_db(ir, RATE, 0.08) == pytest.approx(10 * np.log10(early / late))
    assert clarity_db(ir[:150], RATE) == 60
    quiet = np.zeros(200)
    quiet[[0, 100]] = 1, 1e-4
    assert clarity_db(quiet, RATE) == 60


@pytest.mark.parametrize(("reaches", "end"), [(40.1, 35), (39.9, 25), (30.1, 25), (29.9, 20), (25.1, 20), (24.9, None)])
def test_the_widest_range_is_used_that_the_curve_exceeds_by_5_db(reaches, end):
    """A curve with another slope behind each end, so that the range that was used shows."""
    marks, slopes = np.array([0, 5, 20, 25, 35, 60.0]), np.array([7, 1, 2, 4, 8])
    times = np.concatenate([[0], np.cumsum(np.diff(marks) / slopes)]) * RATE
    curve = -np.interp(np.arange(int(times[-1])), times, marks)
    curve = curve[curve >= -reaches]
    assert decay_range_db(curve) == pytest.approx(reaches, abs=0.01)
    if end is None:
        assert rt60_s(curve, RATE) is None
        return
    used = curve[(curve <= -5) & (curve > -end)]
    slope = np.polyfit(np.arange(len(used)) / RATE, used, 1)[0]
    assert rt60_s(curve, RATE) == pytest.approx(-60 / slope)
    assert decay_range_db(np.empty(0)) == 0


def test_a_decay_of_two_samples_has_no_slope():
    steep = np.array([0.0, -3, -6, -45, -46])
    assert rt60_s(steep, RATE) is None
    assert rt60_s(np.array([0.0, -6, -20, -45, -46]), RATE) == pytest.approx(60 / 14 / RATE)


def test_the_centroid_is_the_mean_frequency_weighted_by_power():
    n = np.arange(1_000)
    wav = np.cos(2 * np.pi * 100 * n / RATE) + 2 * np.cos(2 * np.pi * 300 * n / RATE)
    assert spectral_centroid_hz(wav, RATE) == pytest.approx((100 + 4 * 300) / 5)


@pytest.mark.parametrize(("level_db", "edge"), [(-59.0, 3_300), (-61.0, 1_100)])
def test_the_bandwidth_is_the_upper_edge_of_the_highest_band_within_60_db(level_db, edge):
    n = np.arange(8_000)
    wav = np.cos(2 * np.pi * 1_050 * n / 8_000) + 10 ** (level_db / 20) * np.cos(2 * np.pi * 3_250 * n / 8_000)
    assert bandwidth_hz(wav, 8_000) == edge
    impulse = np.eye(1, 5)[0]
    assert bandwidth_hz(impulse, 8_050) == 4_025


def test_a_room_is_measured_up_to_its_noise():
    """Its clarity is that of the exponential: energy before over energy behind 50 ms, whatever the noise behind."""
    generator, rate, rt60 = np.random.default_rng(0), 8_000, 0.5
    ir = 10 ** (-3 * np.arange(rate * 3) / (rt60 * rate)) * generator.choice([-1.0, 1.0], rate * 3)
    share = 10 ** (-6 * 0.05 / rt60)
    found = measure_room(ir + 1e-3 * generator.standard_normal(len(ir)), rate)
    assert found.c50_db == pytest.approx(10 * np.log10((1 - share) / share), abs=0.15)
    assert found.rt60_s == pytest.approx(rt60, rel=0.02)
    assert 45 < found.decay_range_db < 70
