"""Mains hum and stationary noise taken out of a recording, and how much of each there was.

What is quiet decides everything: the quietest frames are taken to hold noise alone. They give the noise floor,
the profile of the spectral gate, and most of the weight in the fit of the hum. Each step is kept only if it
shows by its own measure that it took out noise and no speech; a clean recording is not touched at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from noisereduce import reduce_noise
from scipy.fft import next_fast_len

from soundgate.audio.io import resample

LIMIT_DB = 100.0  # what no noise, or no error, at all is reported as

FRAME_S = 0.04  # two periods of 50 Hz
HOP_S = 0.01
QUIET_QUANTILE = 0.01
QUIET_SPREAD_DB = 3.0
LOUD_QUANTILE = 0.95
ACTIVE_RANGE_DB = 20.0

# Without pauses the quietest frames are speech: at least this share must lie near the floor.
MIN_QUIET_SHARE = 0.03
MIN_PROFILE_WINDOWS = 4
WINDOW_S = 0.032
THRESHOLD_STD = 1.5
# The least smoothing that noisereduce takes: more wears off speech that lies between empty bins.
SMOOTH_HZ = 100
MAX_EXCESS_DB = 3.0

MAINS_HZ = (50.0, 60.0)
MAINS_TOLERANCE_HZ = 0.4
MAX_HUM_HZ = 1_000.0
HUM_RATE = 2_400
HUM_BLOCK_S = 30.0  # the mains keep their phase about this long
MIN_HUM_S = 0.5
HUM_CONTRAST = 30.0
_ZERO_PADDING = 16
_MAX_CONTRAST = 1e4
_TINY = 1e-12


@dataclass(frozen=True)
class Levels:
    """What the frames of a recording say about its speech and its noise.

    Args:
        frames: mean square of each frame of 40 ms, every 10 ms, float64 [L].
        quiet: the frames taken to hold noise alone, bool [L].
        active: the frames in which somebody speaks, bool [L].
        noise_power: mean square over the quiet frames.
        speech_power: mean square over the active frames, less the noise.
    """

    frames: np.ndarray
    quiet: np.ndarray
    active: np.ndarray
    noise_power: float
    speech_power: float

    @property
    def snr_db(self) -> float:
        """Speech over noise in dB, within ±100."""
        return _ratio_db(self.speech_power, self.noise_power)


@dataclass(frozen=True)
class Denoised:
    """A recording after noise reduction, or untouched, and why.

    Args:
        wav: float32 [T]; the very array that was given where nothing was kept.
        steps: what was kept of ``("hum", "gate")``.
        reason: in words, what was done or why nothing was.
        snr_before_db: estimated speech over noise floor of the recording.
        snr_after_db: the same of ``wav``.
    """

    wav: np.ndarray
    steps: tuple[str, ...]
    reason: str
    snr_before_db: float
    snr_after_db: float


def measure_levels(wav: np.ndarray, sample_rate: int) -> Levels:
    """Tell quiet frames from active ones by their power.

    Quiet are the frames within 3 dB of the 1 % quantile, active those within 20 dB of the 95 % quantile.

    Args:
        wav: mono samples [T].
        sample_rate: Hz.

    Raises:
        ValueError: ``wav`` is not one-dimensional or has no samples.
    """
    if wav.ndim != 1 or len(wav) == 0:
        raise ValueError(f"expected samples [T], got shape {wav.shape}")
    frames = _frame_powers(wav, sample_rate)
    quiet = frames <= np.quantile(frames, QUIET_QUANTILE, method="higher") * 10 ** (QUIET_SPREAD_DB / 10)
    active = frames >= np.quantile(frames, LOUD_QUANTILE) / 10 ** (ACTIVE_RANGE_DB / 10)
    noise_power = float(frames[quiet].mean())
    return Levels(frames, quiet, active, noise_power, max(float(frames[active].mean()) - noise_power, 0.0))


def estimate_snr_db(wav: np.ndarray, sample_rate: int) -> float:
    """Return the level of active speech over the noise floor in dB, within ±100; see `measure_levels`."""
    return measure_levels(wav, sample_rate).snr_db


def si_sdr_db(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Compare a recording with the truth it should equal up to a gain.

    Args:
        estimate: samples [T].
        truth: samples [T], not all zero.

    Returns:
        Signal over distortion in dB, within ±100.

    Raises:
        ValueError: the shapes differ, or the truth is silent.

    Source: Le Roux et al. 2019, "SDR – half-baked or well done?", eq. 3 (SI-SDR).
    """
    estimate, truth = np.asarray(estimate, np.float64), np.asarray(truth, np.float64)
    if estimate.shape != truth.shape or not truth.any():
        raise ValueError(f"expected two signals of one shape, got {estimate.shape} and {truth.shape}, or silence")
    target = np.vdot(estimate, truth) / np.vdot(truth, truth) * truth
    return _ratio_db(np.mean(target**2), np.mean((estimate - target) ** 2))


def denoise(wav: np.ndarray, sample_rate: int, clean_snr_db: float) -> Denoised:
    """Take out mains hum, then stationary noise, as far as either is there and goes without hurting speech.

    A step is kept if the estimated SNR rose and what it took out of active frames exceeds the noise floor by at
    most 3 dB: noise goes on during speech at its own level, so a larger loss is speech.

    Args:
        wav: mono float32 samples [T], best at the recording's own rate.
        sample_rate: Hz.
        clean_snr_db: at this estimated SNR and above nothing (more) is done.

    Returns:
        The recording denoised, or untouched.
    """
    before = levels = measure_levels(wav, sample_rate)
    result, steps = wav, []
    for name, step in (("hum", remove_hum), ("gate", gate_noise)):
        if levels.snr_db >= clean_snr_db:
            break
        candidate, taken = step(result, levels, sample_rate)
        after = measure_levels(candidate, sample_rate)
        if after.snr_db > levels.snr_db and _excess_db(taken, levels, sample_rate) <= MAX_EXCESS_DB:
            result, levels = candidate, after
            steps.append(name)
    if steps:
        reason = "removed: " + ", ".join({"hum": "mains hum", "gate": "stationary noise"}[name] for name in steps)
    elif before.snr_db >= clean_snr_db:
        reason = "already clean"
    else:
        reason = "no noise that could be removed without touching speech"
    return Denoised(result, tuple(steps), reason, before.snr_db, levels.snr_db)


def remove_hum(wav: np.ndarray, levels: Levels, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Fit the harmonics of 50 or 60 Hz that stand out, and subtract them.

    The fit is weighted least squares in blocks of at most 30 s, each frame weighted by one over its power, so
    that pauses decide and speech hardly counts. Subtraction leaves speech at the mains' harmonics alone, which
    a notch filter would not.

    Args:
        wav: mono float32 samples [T].
        levels: of ``wav``; not needed here.
        sample_rate: Hz.

    Returns:
        float32 [T] without hum, and the hum, float32 [T].
    """
    blocks = np.array_split(wav, -(-len(wav) // round(HUM_BLOCK_S * sample_rate)))
    hum = np.concatenate([_fit_hum(block, sample_rate) for block in blocks])
    return wav - hum, hum


def gate_noise(wav: np.ndarray, levels: Levels, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Gate the spectrum by a noise profile from the quiet frames, the whole recording in one piece.

    Args:
        wav: mono float32 samples [T].
        levels: of ``wav``.
        sample_rate: Hz.

    Returns:
        The gated recording, float32 [T], and what the gate alone would take away, float32 [T]; without enough
        pauses ``wav`` itself and zeros.

    Source: noisereduce 3 (Sainburg et al. 2020), stationary mode.
    Differs: no more is taken out of a frame than the noise floor holds: the rest is given back.
    """
    n_fft = 2 ** round(np.log2(WINDOW_S * sample_rate))
    profile = wav[_in_frames(levels.quiet, len(wav), sample_rate)]
    if levels.quiet.mean() < MIN_QUIET_SHARE or len(profile) < MIN_PROFILE_WINDOWS * n_fft or not profile.any():
        return wav, np.zeros_like(wav)
    gated = reduce_noise(
        y=wav, sr=sample_rate, stationary=True, y_noise=profile, n_std_thresh_stationary=THRESHOLD_STD,
        freq_mask_smooth_hz=SMOOTH_HZ, time_mask_smooth_ms=None,
        n_fft=n_fft, hop_length=n_fft // 2, chunk_size=None, padding=2 * n_fft, n_jobs=1,
    )  # fmt: skip
    taken = wav - gated
    share = np.minimum(1.0, levels.noise_power / np.maximum(_frame_powers(taken, sample_rate), _TINY * _TINY))
    return (wav - _per_sample(share, len(wav), sample_rate) * taken).astype(np.float32), taken


def default_gating(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """Reduce noise by noisereduce as it comes, with its default settings: what `denoise` is held against.

    Args:
        wav: mono float32 samples [T].
        sample_rate: Hz.

    Returns:
        float32 [T]; NaN where it divides by digital silence of many seconds.

    Source: noisereduce 3 (Sainburg et al. 2020), non-stationary mode.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return reduce_noise(y=wav, sr=sample_rate).astype(np.float32)


def _excess_db(taken: np.ndarray, levels: Levels, sample_rate: int) -> float:
    """Return the level of what was taken out of active frames, over the noise floor."""
    return _ratio_db(_frame_powers(taken, sample_rate)[levels.active].mean(), levels.noise_power)


def _ratio_db(power: float, reference: float) -> float:
    if power <= 0 or reference <= 0:
        return LIMIT_DB * float(np.sign(power) - np.sign(reference))
    return float(np.clip(10 * np.log10(power / reference), -LIMIT_DB, LIMIT_DB))


def _frame_sizes(sample_rate: int) -> tuple[int, int]:
    return round(FRAME_S * sample_rate), round(HOP_S * sample_rate)


def _frame_powers(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    frame, hop = _frame_sizes(sample_rate)
    frame = min(frame, len(wav))
    energy = np.concatenate([[0.0], np.cumsum(np.square(wav, dtype=np.float64))])
    starts = np.arange(0, len(wav) - frame + 1, hop)
    return np.maximum(energy[starts + frame] - energy[starts], 0.0) / frame


def _in_frames(chosen: np.ndarray, n_samples: int, sample_rate: int) -> np.ndarray:
    """Return which samples lie in one of the chosen frames, bool [T]."""
    frame, hop = _frame_sizes(sample_rate)
    starts = np.flatnonzero(chosen) * hop
    edges = np.zeros(n_samples + 1, np.int64)
    np.add.at(edges, starts, 1)
    np.add.at(edges, np.minimum(starts + frame, n_samples), -1)
    return np.cumsum(edges[:-1]) > 0


def _per_sample(values: np.ndarray, n_samples: int, sample_rate: int) -> np.ndarray:
    """Interpolate between the centres of frames."""
    frame, hop = _frame_sizes(sample_rate)
    return np.interp(np.arange(n_samples), np.arange(len(values)) * hop + frame / 2, values)


def _fit_hum(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    if len(wav) < MIN_HUM_S * sample_rate:
        return np.zeros_like(wav)
    low = resample(wav[None], sample_rate, HUM_RATE)[0].astype(np.float64)
    powers = np.maximum(_frame_powers(low, HUM_RATE), _TINY * _TINY)
    weight = 1 / _per_sample(np.maximum(powers, np.quantile(powers, QUIET_QUANTILE)), len(low), HUM_RATE)
    lines_hz = _find_lines(low * weight)
    if len(lines_hz) == 0:
        return np.zeros_like(wav)
    root = np.sqrt(weight / weight.max())
    time_s = np.arange(-HUM_RATE, len(low) + HUM_RATE) / HUM_RATE
    waves = _waves(lines_hz, time_s)
    inside = slice(HUM_RATE, HUM_RATE + len(low))
    fit = np.linalg.lstsq(waves[inside] * root[:, None], low * root, rcond=None)[0]
    # A second more at both ends keeps the resampler's own ends out.
    hum = resample((waves @ fit)[None], HUM_RATE, sample_rate)[0]
    return hum[sample_rate : sample_rate + len(wav)]


def _find_lines(weighted: np.ndarray) -> np.ndarray:
    """Return the frequencies of the harmonics that stand out of the spectrum around them."""
    n_fft = next_fast_len(_ZERO_PADDING * len(weighted), real=True)
    spectrum = np.abs(np.fft.rfft(weighted, n_fft)) ** 2
    bin_hz = HUM_RATE / n_fft
    best, lines_hz = 0.0, np.zeros(0)
    for mains_hz in MAINS_HZ:
        orders = np.arange(1, int(MAX_HUM_HZ / mains_hz) + 1)
        around = np.arange(-0.4 * mains_hz, 0.4 * mains_hz, _ZERO_PADDING / 2 * bin_hz)
        nearby = spectrum[np.rint((orders[:, None] * mains_hz + around) / bin_hz).astype(np.int64)]
        tried = mains_hz + np.arange(-MAINS_TOLERANCE_HZ, MAINS_TOLERANCE_HZ, bin_hz / len(orders))
        contrast = spectrum[np.rint(np.outer(tried, orders) / bin_hz).astype(np.int64)]
        contrast = contrast / np.maximum(np.median(nearby, axis=1), np.finfo(np.float64).tiny)
        total = np.minimum(contrast, _MAX_CONTRAST).sum(axis=1)
        winner = int(np.argmax(total))
        if total[winner] > best:
            best, lines_hz = total[winner], (tried[winner] * orders)[contrast[winner] > HUM_CONTRAST]
    return lines_hz


def _waves(lines_hz: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    phase = 2 * np.pi * np.outer(time_s, lines_hz)
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=1)
