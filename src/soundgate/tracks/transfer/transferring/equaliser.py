"""Transfer by equaliser: the level of every band becomes the exemplar's, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from scipy.signal import oaconvolve

from soundgate.tracks.transfer.transferring.bands import CENTRES, Spectrum, audible, window_samples

# No band is made louder or quieter by more.
MOST_DB = 20.0
_STEPS = 8


def equaliser_gains(source: Spectrum, wanted_db: np.ndarray) -> np.ndarray:
    """Return the gain of each band that brings a recording to wanted levels, less what all bands have in common.

    Args:
        source: of the recording.
        wanted_db: levels by band, see `soundgate.tracks.transfer.transferring.bands.wanted_levels`.

    Returns:
        dB within 20 of 0, float64 [29]. What the recording has nothing of is not raised; bands that are not known of
        the wanted sound, above half its rate, have the gain of the highest that is.

    Differs: the bands' filters overlap, so that gains are corrected by what the whole filter makes of the spectrum.
    """
    levels = source.levels_db()
    known = np.isfinite(wanted_db) & np.isfinite(levels)
    both = known & audible(levels)
    # What is common to the bands is loudness, which is kept.
    common = np.median((wanted_db - levels)[both if both.any() else known])
    gains = _bounded(np.where(known, wanted_db - levels - common, 0.0), known, levels)
    for _ in range(_STEPS):
        made = Spectrum(source.power * np.square(response(gains, source.hz)), source.rate).levels_db()
        gains = _bounded(gains + np.where(known, wanted_db - common - made, 0.0), known, levels)
    return gains


def _bounded(gains: np.ndarray, known: np.ndarray, levels: np.ndarray) -> np.ndarray:
    gains = np.clip(gains, -MOST_DB, MOST_DB)
    gains = np.where(audible(levels), gains, np.minimum(gains, 0.0))
    places = np.flatnonzero(known)
    return np.interp(np.arange(len(gains)), places, gains[places])


def response(gains: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Return the magnitude of the filter of some bands' gains (dB) at frequencies, linear over log frequency."""
    return 10 ** (np.interp(np.log(np.maximum(hz, 1.0)), np.log(CENTRES), gains) / 20)


def minimum_phase_filter(gains: np.ndarray, rate: int) -> np.ndarray:
    """Return the filter of minimum phase that has the gains of bands, float32 [L], L about 0.2 s.

    Of minimum phase since nothing sounds before its cause.

    Args:
        gains: dB by band of ``CENTRES``.
        rate: Hz.

    Source: Oppenheim and Schafer, "Discrete-Time Signal Processing", homomorphic construction from the real cepstrum.
    """
    length = 2 * window_samples(rate)
    size = 4 * length
    magnitude = response(gains, np.linspace(0, rate / 2, size // 2 + 1))
    cepstrum = np.fft.irfft(np.log(magnitude))
    cepstrum[1 : size // 2] *= 2
    cepstrum[size // 2 + 1 :] = 0
    return np.fft.irfft(np.exp(np.fft.rfft(cepstrum)))[:length].astype(np.float32)


def filtered(blocks: Iterable[np.ndarray], taps: np.ndarray) -> Iterator[np.ndarray]:
    """Filter blocks float32 [t, C], one after another, by the same taps in each channel; as many samples come out."""
    tail = None
    for block in blocks:
        made = oaconvolve(block, taps[:, None], axes=0).astype(np.float32)
        if tail is not None:
            made[: len(tail)] += tail[: len(made)]
        yield made[: len(block)]
        tail = made[len(block) :]
