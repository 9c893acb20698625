"""Reverberation times read from stationary noise that a room has coloured."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import fft

from soundgate.embeddings.acoustic.spectrum import Spectrum

CENTRES_HZ = (125.0, 250.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0)
LAG_EDGES_S = np.geomspace(0.015, 1.6, 31)
RT60_GRID_S = np.geomspace(0.1, 6.0, 40)
LEVEL_GRID_DB = np.arange(-20.0, 45.0, 1.5)
# Lags of a Hann-weighted band are worth (Σw²)²/(nΣw⁴) = 0.51 independent ones each.
_INDEPENDENT = 0.5


class Decay(NamedTuple):
    """Exponential decay in each octave band, as expected given the answer to the noise.

    Args:
        log2_rt60: float64 [7], of RT60 in s.
        level_db: float64 [7], energy of the echoes, extrapolated to lag 0, relative to the whole.
    """

    log2_rt60: np.ndarray
    level_db: np.ndarray


def decays(spectrum: Spectrum) -> Decay:
    """Estimate the decay in seven octave bands from 125 Hz to 8 kHz.

    Of white noise through a room, the autocorrelation is that of the impulse response plus the noise of the
    estimate; its squared envelope falls as the response's energy does: 60 dB in RT60. At a lag, the estimate
    is exponentially distributed about A·10^(−6 lag/RT60) + floor, where the floor is known: half of all energy,
    spread over the lags (Bartlett). RT60 and A are the means of their posterior over a grid; a band without
    echoes gives the same finite values always, not a wild slope.

    Args:
        spectrum: of the room's answer to white noise.

    Returns:
        See `Decay`.

    Source: Bartlett 1946, variance of the sample autocorrelation; Schroeder 1965, energy decay.
    Differs: Bayesian mean instead of a straight line fitted to the decay in dB.
    """
    bands = [_band_decay(spectrum, centre) for centre in CENTRES_HZ]
    return Decay(*(np.array(values) for values in zip(*bands, strict=True)))


def _band_decay(spectrum: Spectrum, centre_hz: float) -> tuple[float, float]:
    power = np.abs(spectrum.band(centre_hz / np.sqrt(2), centre_hz * np.sqrt(2))) ** 2
    energy = np.abs(fft.ifft(power * np.hanning(len(power) + 2)[1:-1])) ** 2
    if energy[0] == 0:
        return float(np.log2(RT60_GRID_S[0])), float(LEVEL_GRID_DB[0])
    lag_s, floor = spectrum.times_s(len(energy)), energy.mean()
    window = np.searchsorted(LAG_EDGES_S, lag_s, side="right") - 1
    inside = (window >= 0) & (window < len(LAG_EDGES_S) - 1)
    fading = 1 - lag_s[inside] / spectrum.duration_s
    n_windows = len(LAG_EDGES_S) - 1
    counts = np.bincount(window[inside], minlength=n_windows)
    sums = np.bincount(window[inside], weights=energy[inside] / (floor * fading), minlength=n_windows)
    posterior = _posterior(counts, sums, spectrum.duration_s)
    log2_rt60 = posterior.sum(axis=1) @ np.log2(RT60_GRID_S)
    level_db = posterior.sum(axis=0) @ LEVEL_GRID_DB + 10 * np.log10(floor / energy[0])
    return float(log2_rt60), float(level_db)


def _posterior(counts: np.ndarray, sums: np.ndarray, duration_s: float) -> np.ndarray:
    """Return probabilities [RT60, level] given, in each window, the count and sum of energies over the floor."""
    lag_s = np.sqrt(LAG_EDGES_S[:-1] * LAG_EDGES_S[1:])
    echoes = 10 ** (LEVEL_GRID_DB[:, None] / 10 - 6 * lag_s / RT60_GRID_S[:, None, None])
    expected = 1 + echoes * (1 - lag_s / duration_s)
    log_likelihood = -_INDEPENDENT * (counts * np.log(expected) + sums / expected).sum(axis=-1)
    weights = np.exp(log_likelihood - log_likelihood.max())
    return weights / weights.sum()
