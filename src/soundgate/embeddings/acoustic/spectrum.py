"""The spectrum of a room's answer to white noise, and what is read from it directly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

MIN_DURATION_S = 3.0
EDGES_HZ = np.geomspace(50.0, 20_000.0, 41)
# Levels of bands end 60 dB below the whole: what a filter removed must not dominate a distance.
_RELATIVE_FLOOR = 1e-6
_SILENCE = 1e-12


@dataclass(frozen=True)
class Spectrum:
    """Spectrum of a waveform, padded with zeros to at least 3 s and then to at least twice its length.

    Args:
        values: complex128 [n_fft // 2 + 1].
        n_fft: length of the transform.
        n_samples: of the waveform, padded to 3 s.
        sample_rate: in Hz.
    """

    values: np.ndarray
    n_fft: int
    n_samples: int
    sample_rate: int

    @classmethod
    def of(cls, wav: np.ndarray, sample_rate: int) -> Spectrum:
        """Return the spectrum of float32 [T] at ``sample_rate`` Hz."""
        n_samples = max(len(wav), round(MIN_DURATION_S * sample_rate))
        n_fft = fft.next_fast_len(2 * n_samples, real=True)
        return cls(fft.rfft(wav.astype(np.float64), n_fft), n_fft, n_samples, sample_rate)

    @property
    def duration_s(self) -> float:
        """Duration of the padded waveform in s."""
        return self.n_samples / self.sample_rate

    @property
    def spacing_hz(self) -> float:
        """Distance of two values in Hz."""
        return self.sample_rate / self.n_fft

    def band(self, low_hz: float, high_hz: float) -> np.ndarray:
        """Return the values from ``low_hz`` up to, not including, ``high_hz``."""
        return self.values[round(low_hz / self.spacing_hz) : round(high_hz / self.spacing_hz)]

    def times_s(self, n_values: int) -> np.ndarray:
        """Return the times, in s, of the inverse transform of ``n_values`` neighbouring values."""
        return np.arange(n_values) / (n_values * self.spacing_hz)


def band_levels_db(spectrum: Spectrum) -> np.ndarray:
    """Return the power density from 50 Hz to 20 kHz in dB, then that of 40 bands (log-spaced) relative to it.

    Args:
        spectrum: of the room's answer.

    Returns:
        float64 [41]; the first is the only one that a gain changes, and −120 dB for silence.
    """
    edges = zip(EDGES_HZ[:-1], EDGES_HZ[1:], strict=True)
    whole = _density(spectrum, EDGES_HZ[0], EDGES_HZ[-1])
    bands = np.array([_density(spectrum, low_hz, high_hz) for low_hz, high_hz in edges])
    relative = bands / whole + _RELATIVE_FLOOR if whole > 0 else np.ones(len(bands))
    return 10 * np.log10(np.concatenate([[max(whole, _SILENCE)], relative]))


def _density(spectrum: Spectrum, low_hz: float, high_hz: float) -> float:
    return float(np.mean(np.abs(spectrum.band(low_hz, high_hz)) ** 2)) / spectrum.n_samples
