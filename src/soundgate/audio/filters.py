"""Recursive filters as second-order sections: Butterworth passes, shelves and a peak."""

from __future__ import annotations

from typing import Literal

import numpy as np

DIGITAL_SILENCE = 1e-10  # -200 dBFS
LOW_SHELF_HZ = 250.0
MID_PEAK_HZ = 1500.0
HIGH_SHELF_HZ = 5000.0
MID_PEAK_Q = 0.7
_PULSE_SPACING = 16


def run_sections(sections: np.ndarray, wav: np.ndarray) -> np.ndarray:
    """Filter a signal by cascaded second-order sections in one pass, from rest.

    A pulse of -200 dBFS every 16 samples keeps the state out of the denormal range on digital silence.
    Measured on 5 s at 48 kHz: 1.3 ms whatever the signal holds; without the pulses up to 12 ms for noise
    followed by silence, up to 15 ms for a lone impulse.

    Args:
        sections: float64 [S, 6], scipy's second-order sections.
        wav: float32 [..., T].

    Returns:
        float32 [..., T].

    Differs: computed in float64, which costs a tenth more: in float32 a 60 Hz high-pass errs by -86 dB at 48 kHz.
    """
    # Imported here and below: scipy.signal takes over a second to load, and many stages that reach this never filter.
    from scipy.signal import sosfilt

    guarded = wav.copy()
    guarded[..., ::_PULSE_SPACING] += DIGITAL_SILENCE
    return sosfilt(sections, guarded).astype(np.float32)


def pass_sections(kind: Literal["high", "low"], cutoff_hz: float, sample_rate: int) -> np.ndarray:
    """Return a second-order Butterworth high-pass or low-pass, float64 [1, 6], with -3 dB at its cutoff.

    Raises:
        ValueError: a cutoff not between 0 and half the sample rate.
    """
    _check_frequency("cutoff_hz", cutoff_hz, sample_rate)
    from scipy.signal import butter

    return butter(2, cutoff_hz, kind, fs=sample_rate, output="sos")


def equaliser_sections(low_db: float, mid_db: float, high_db: float, sample_rate: int) -> np.ndarray:
    """Return a three-band equaliser: low shelf at 250 Hz, peak at 1.5 kHz, high shelf at 5 kHz.

    Args:
        low_db: gain at 0 Hz; half of it, in dB, at the shelf's corner.
        mid_db: gain at the peak's centre.
        high_db: gain at half the sample rate; half of it, in dB, at the shelf's corner.
        sample_rate: in Hz.

    Returns:
        float64 [3, 6]: low shelf, peak, high shelf.

    Raises:
        ValueError: a sample rate of at most twice the upper corner.
    """
    _check_frequency("the high shelf", HIGH_SHELF_HZ, sample_rate)
    return np.stack(
        [
            _shelf("low", LOW_SHELF_HZ, low_db, sample_rate),
            _peak(MID_PEAK_HZ, MID_PEAK_Q, mid_db, sample_rate),
            _shelf("high", HIGH_SHELF_HZ, high_db, sample_rate),
        ]
    )


def _shelf(kind: Literal["low", "high"], corner_hz: float, gain_db: float, sample_rate: int) -> np.ndarray:
    """Return one shelf [6].

    Source: Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients", lowShelf and
        highShelf, slope S = 1; they differ by the sign of every cos(w0) and of b1 and a1.
    """
    w0 = 2 * np.pi * corner_hz / sample_rate
    amplitude = 10 ** (gain_db / 40)
    sign = 1 if kind == "low" else -1
    cosine, alpha = sign * np.cos(w0), np.sin(w0) / np.sqrt(2)
    up, down, width = amplitude + 1, amplitude - 1, 2 * np.sqrt(amplitude) * alpha
    b = amplitude * np.array(
        [up - down * cosine + width, 2 * sign * (down - up * cosine), up - down * cosine - width],
    )
    a = np.array([up + down * cosine + width, -2 * sign * (down + up * cosine), up + down * cosine - width])
    return np.concatenate([b, a]) / a[0]


def _peak(centre_hz: float, q: float, gain_db: float, sample_rate: int) -> np.ndarray:
    """Return one peak or dip [6].

    Source: Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients", peakingEQ.
    """
    w0 = 2 * np.pi * centre_hz / sample_rate
    amplitude = 10 ** (gain_db / 40)
    alpha = np.sin(w0) / (2 * q)
    b = np.array([1 + alpha * amplitude, -2 * np.cos(w0), 1 - alpha * amplitude])
    a = np.array([1 + alpha / amplitude, -2 * np.cos(w0), 1 - alpha / amplitude])
    return np.concatenate([b, a]) / a[0]


def _check_frequency(name: str, frequency_hz: float, sample_rate: int) -> None:
    if not 0 < frequency_hz < sample_rate / 2:
        raise ValueError(f"{name}: expected above 0 and below {sample_rate / 2:g} Hz, found {frequency_hz:g}")
