"""Room acoustics of an impulse response: direct sound, decay, reverberation time, clarity, spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

LOOK_BACK_S = 0.05  # In measured halls a reflection 25 ms after the direct sound can be the strongest.
DIRECT_SHARE = 0.5  # A band-limited pulse between two samples rings before its peak at up to a third of it.
ONSET_S = 0.001  # The rising edge of a band-limited direct sound belongs to its energy.
CLARITY_LIMIT_DB = 60.0
EVALUATION_START_DB = 5.0
EVALUATION_ENDS_DB = (35.0, 25.0, 20.0)  # T30, T20, T15
NOISE_MARGIN_DB = 5.0
SPECTRUM_BAND_HZ = 100.0
_SILENT_POWER = 1e-30
_FIRST_INTERVAL_S = 0.01
_INTERVALS_PER_10_DB = 5
_TAIL_SHARE = 0.1
_FIT_ABOVE_NOISE_DB = (10.0, 30.0)
_NOISE_AFTER_CROSSING_DB = 7.5
_STEADY_DB = 12.0
_ROUNDS = 5


@dataclass(frozen=True)
class RoomAcoustics:
    """What an impulse response says about its room.

    Args:
        rt60_s: reverberation time from the widest range the decay reaches; None where it reaches none.
        c50_db: clarity, early against late energy at 50 ms.
        spectral_centroid_hz: mean frequency, weighted by power.
        bandwidth_hz: highest frequency within 60 dB of the spectrum's maximum.
        decay_range_db: how far the decay curve falls before it meets the noise floor or the end.
    """

    rt60_s: float | None
    c50_db: float
    spectral_centroid_hz: float
    bandwidth_hz: float
    decay_range_db: float


def measure_room(ir: np.ndarray, sample_rate: int, look_back_s: float = LOOK_BACK_S) -> RoomAcoustics:
    """Measure every number of `RoomAcoustics`; clarity counts the response up to where it meets its noise.

    Args:
        ir: float [T], finite and not all zero.
        sample_rate: in Hz.
        look_back_s: see `find_direct`.
    """
    curve = decay_curve_db(ir, sample_rate, look_back_s)
    onset, _ = _onset_and_direct(ir, sample_rate, look_back_s)
    heard = ir[: onset + len(curve)] if len(curve) else ir
    return RoomAcoustics(
        rt60_s=rt60_s(curve, sample_rate),
        c50_db=clarity_db(heard, sample_rate, look_back_s=look_back_s),
        spectral_centroid_hz=spectral_centroid_hz(ir, sample_rate),
        bandwidth_hz=bandwidth_hz(ir, sample_rate),
        decay_range_db=decay_range_db(curve),
    )


def find_direct(ir: np.ndarray, sample_rate: int, look_back_s: float = LOOK_BACK_S) -> int:
    """Return the sample at which the direct sound peaks, also where a reflection is up to twice as strong.

    From the largest |h| it looks back for the first sample that reaches half of it, and climbs from there to
    the next local maximum of |h|.

    Args:
        ir: float [T], not all zero.
        sample_rate: in Hz.
        look_back_s: how long before the largest |h| the direct sound may have come.

    Source: ISO 3382-1:2009, annex A (time counts from the arrival of the direct sound).
    Differs: the standard's onset is where the level first comes within 20 dB of the maximum; that threshold
        takes the ringing of resampled responses for sound, so the peak of the arrival is used.
    """
    magnitude = np.abs(ir)
    loudest = int(np.argmax(magnitude))
    start = max(loudest - round(look_back_s * sample_rate), 0)
    first = start + int(np.argmax(magnitude[start : loudest + 1] >= DIRECT_SHARE * magnitude[loudest]))
    falls = np.flatnonzero(np.diff(magnitude[first : loudest + 1]) <= 0)
    return first + int(falls[0]) if len(falls) else loudest


def _onset_and_direct(ir: np.ndarray, sample_rate: int, look_back_s: float) -> tuple[int, int]:
    direct = find_direct(ir, sample_rate, look_back_s)
    return max(direct - round(ONSET_S * sample_rate), 0), direct


def clarity_db(ir: np.ndarray, sample_rate: int, early_s: float = 0.05, look_back_s: float = LOOK_BACK_S) -> float:
    """Return early against late energy: C50 with 50 ms, C80 with 80 ms.

    Args:
        ir: float [T], not all zero.
        sample_rate: in Hz.
        early_s: the limit between early and late, after the direct sound.
        look_back_s: see `find_direct`.

    Returns:
        dB, within ±60.

    Source: ISO 3382-1:2009, annex A (early-to-late index).
    Differs: limited, so that a response without late energy has a finite value.
    """
    onset, direct = _onset_and_direct(ir, sample_rate, look_back_s)
    power = np.square(ir, dtype=np.float64)
    limit = direct + round(early_s * sample_rate)
    early, late = power[onset:limit].sum(), power[limit:].sum()
    if late == 0:
        return CLARITY_LIMIT_DB
    return float(np.clip(10 * np.log10(early / late), -CLARITY_LIMIT_DB, CLARITY_LIMIT_DB))


def decay_curve_db(ir: np.ndarray, sample_rate: int, look_back_s: float = LOOK_BACK_S) -> np.ndarray:
    """Return the energy still to come after each sample, in dB, freed of the noise floor.

    The squared response less the noise power is integrated backwards from where the decay meets the noise,
    starting with the energy that the fitted decay has beyond that point.

    Args:
        ir: float [T], not all zero.
        sample_rate: in Hz.
        look_back_s: see `find_direct`.

    Returns:
        float64 [N] from 1 ms before the direct sound to where the decay meets the noise, or the end where
        no noise floor shows; the first value is 0. Empty where no decay can be fitted.

    Source: Schroeder 1965, eq. 5 (backward integration); Lundeby et al. 1995 (crossing of decay and noise);
        Guski and Vorländer 2014 (subtraction, truncation and correction together err least).
    """
    onset, _ = _onset_and_direct(ir, sample_rate, look_back_s)
    power = np.square(ir[onset:], dtype=np.float64)
    power[power < power.max() * _SILENT_POWER] = 0
    power = power[: np.flatnonzero(power)[-1] + 1]
    floor = _noise_floor(power, sample_rate)
    if floor is None:
        return np.empty(0)
    remaining = np.cumsum((power[: floor.crossing] - floor.noise)[::-1])[::-1] + floor.beyond
    remaining = np.maximum(remaining, floor.beyond)
    return 10 * np.log10(remaining / remaining[0])


def decay_range_db(curve: np.ndarray) -> float:
    """Return how far a curve of `decay_curve_db` falls; 0 for an empty one."""
    return float(curve[0] - curve[-1]) if len(curve) else 0.0


def rt60_s(curve: np.ndarray, sample_rate: int) -> float | None:
    """Return the time in which the decay falls by 60 dB.

    A line is fitted to the curve from -5 dB to -35 dB (T30), or to -25 dB (T20) or -20 dB (T15) where the curve
    does not reach 5 dB further than that.

    Args:
        curve: dB [N] from `decay_curve_db`.
        sample_rate: in Hz.

    Returns:
        Seconds; None where not even T15 can be had.

    Source: ISO 3382-1:2009, 5.3.3 (integrated impulse response); ISO 3382-2:2008 (T20, T30).
    Differs: T15 is not in the standards, which also ask for 10 dB between range and noise: that is for curves
        whose noise was not subtracted.
    """
    reached = decay_range_db(curve) - NOISE_MARGIN_DB
    end = next((end for end in EVALUATION_ENDS_DB if reached >= end), None)
    if end is None:
        return None
    first, last = int(np.argmax(curve <= -EVALUATION_START_DB)), int(np.argmax(curve <= -end))
    if last - first < 2:
        return None
    slope = np.polynomial.polynomial.polyfit(np.arange(last - first), curve[first:last], 1)[1]
    return float(-60 / slope / sample_rate)


def spectral_centroid_hz(ir: np.ndarray, sample_rate: int) -> float:
    """Return the mean frequency of a signal [T], weighted by its power spectrum."""
    power = np.square(np.abs(np.fft.rfft(ir.astype(np.float64))))
    return float(power @ np.fft.rfftfreq(len(ir), 1 / sample_rate) / power.sum())


def bandwidth_hz(ir: np.ndarray, sample_rate: int, range_db: float = 60.0) -> float:
    """Return the highest frequency that a signal holds: about 16 kHz for one resampled from 32 kHz.

    Args:
        ir: float [T], not all zero.
        sample_rate: in Hz.
        range_db: how far below the strongest 100 Hz band a band still counts.

    Returns:
        The upper edge of the highest band that counts, at most half the sample rate.
    """
    size = max(len(ir), math.ceil(4 * sample_rate / SPECTRUM_BAND_HZ))
    power = np.square(np.abs(np.fft.rfft(ir.astype(np.float64), size)))
    band = np.floor(np.fft.rfftfreq(size, 1 / sample_rate) / SPECTRUM_BAND_HZ).astype(int)
    level = np.bincount(band, power) / np.bincount(band)
    highest = np.flatnonzero(level >= level.max() * 10 ** (-range_db / 10))[-1]
    return float(min((highest + 1) * SPECTRUM_BAND_HZ, sample_rate / 2))


@dataclass(frozen=True)
class _Floor:
    """Where the decay ends (samples), the noise's mean square, the decay's energy from there on."""

    crossing: int
    noise: float
    beyond: float


@dataclass(frozen=True)
class _Line:
    """Level in dB at sample 0, and dB a sample."""

    level: float
    slope: float

    def energy_from(self, sample: int) -> float:
        return 10 ** ((self.level + self.slope * sample) / 10) / (-self.slope * math.log(10) / 10)


def _noise_floor(power: np.ndarray, sample_rate: int) -> _Floor | None:
    """Find where the decay meets the noise.

    Source: Lundeby et al. 1995: the noise is estimated behind the crossing of the last round's line,
        at least over the last tenth; the line is fitted to the 20 dB that end 10 dB above the noise.
    Differs: a fixed number of rounds; a tail that still falls with the decay, or is not steady (sparse echoes
        of a simulated room), is no noise.
    """
    last_tail = len(power) - max(round(_TAIL_SHARE * len(power)), 1)
    interval = _within(round(_FIRST_INTERVAL_S * sample_rate), len(power))
    tail = last_tail
    for _ in range(_ROUNDS):
        if not _is_steady(power[tail:], sample_rate):
            return _Floor(len(power), 0.0, 0.0)
        noise = _noise_power(power[tail:], sample_rate)
        line = _late_decay(power, interval, noise)
        if line is None:
            return None
        crossing = (10 * math.log10(noise) - line.level) / line.slope
        crossing = min(max(round(crossing), 1), len(power))
        tail = min(crossing + round(_NOISE_AFTER_CROSSING_DB / -line.slope), last_tail)
        interval = _within(round(10 / -line.slope / _INTERVALS_PER_10_DB), len(power))
    if _still_falls(power[tail:], line.slope):
        return _Floor(len(power), 0.0, line.energy_from(len(power)))
    return _Floor(crossing, noise, line.energy_from(crossing))


def _block_means(tail: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the mean squares of 10 ms each, less for a short tail, aligned to its end."""
    interval = _within(round(_FIRST_INTERVAL_S * sample_rate), len(tail))
    count = len(tail) // interval
    return tail[len(tail) - count * interval :].reshape(count, interval).mean(1)


def _noise_power(tail: np.ndarray, sample_rate: int) -> float:
    """Return the median of the blocks that are not silent: late echoes and clicks are no noise floor."""
    means = _block_means(tail, sample_rate)
    return float(np.median(means[means > 0]))


def _within(interval: int, length: int) -> int:
    return max(min(interval, length // 20), 1)


def _late_decay(power: np.ndarray, interval: int, noise: float) -> _Line | None:
    """Fit a line to the levels of intervals, over the 20 dB that end 10 dB above the noise."""
    count = len(power) // interval
    means = power[: count * interval].reshape(count, interval).mean(1)
    lowest, highest = (noise * 10 ** (above / 10) for above in _FIT_ABOVE_NOISE_DB)
    over = np.flatnonzero(means >= lowest)
    if not len(over):
        return None
    stop = int(over[-1]) + 1
    high = np.flatnonzero(means >= highest)
    start = int(high[-1]) if len(high) else int(np.argmax(means))
    chosen = np.arange(max(min(start, stop - 3), 0), stop)
    chosen = chosen[means[chosen] > 0]
    if len(chosen) < 2:
        return None
    centres = (chosen + 0.5) * interval
    level, slope = np.polynomial.polynomial.polyfit(centres, 10 * np.log10(means[chosen]), 1)
    return _Line(float(level), float(slope)) if slope < 0 else None


def _is_steady(tail: np.ndarray, sample_rate: int) -> bool:
    low, high = np.quantile(_block_means(tail, sample_rate), [0.25, 0.75])
    return low * 10 ** (_STEADY_DB / 10) >= high


def _still_falls(tail: np.ndarray, slope: float) -> bool:
    """Tell whether a response ends before its noise shows: the tail falls at half the decay's rate or more."""
    half = len(tail) // 2
    if half == 0 or not tail[:half].any():
        return True
    return 10 * math.log10(tail[:half].mean() / tail[half:].mean()) >= 0.5 * -slope * half
