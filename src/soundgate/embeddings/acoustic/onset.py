"""How the room's answer to white noise builds up from the moment the noise begins."""

from __future__ import annotations

import numpy as np
from scipy import fft

from soundgate.embeddings.acoustic.spectrum import Spectrum

BANDS_HZ = ((250.0, 2_000.0), (2_000.0, 16_000.0))
EDGES_S = np.array([0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28])
_RELATIVE_FLOOR = 1e-4


def onset_levels_db(spectrum: Spectrum) -> np.ndarray:
    """Return the power in eight windows of the first 1.28 s, relative to the power after them, in two bands.

    The expected power at time t after the noise begins is the energy of the impulse response up to t, so the
    rise from its first value to 0 dB holds the balance of direct sound, early and late reverberation.

    Args:
        spectrum: of the room's answer, which begins with the noise.

    Returns:
        float64 [2, 8] in dB, at least −40 and at most 40.
    """
    return np.array([_rise_db(spectrum, low, high) for low, high in BANDS_HZ])


def _rise_db(spectrum: Spectrum, low_hz: float, high_hz: float) -> np.ndarray:
    values = spectrum.band(low_hz, high_hz)
    power = np.abs(fft.ifft(values)) ** 2
    time_s = spectrum.times_s(len(values))
    windows = np.searchsorted(time_s, [*EDGES_S, spectrum.duration_s])
    *rising, steady = [power[begin:end].mean() for begin, end in zip(windows[:-1], windows[1:], strict=True)]
    if max(*rising, steady) == 0:
        return np.zeros(len(rising))
    ratio = np.array(rising) / max(steady, _RELATIVE_FLOOR * max(rising))
    return 10 * np.log10(np.clip(ratio, _RELATIVE_FLOOR, 1 / _RELATIVE_FLOOR))
