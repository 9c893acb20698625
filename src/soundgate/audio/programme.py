"""Loudness and true peak of recordings of several channels and any length, measured block by block."""

from __future__ import annotations

import numpy as np
import soxr
from pyloudnorm import Meter
from scipy.signal import lfilter

from soundgate.audio.loudness import BLOCK_S

_CHUNK_S = 20
_ABSOLUTE_LUFS, _RELATIVE_DB = -70.0, -10.0
# Left, right, centre, surrounds; the fourth of six channels is the low-frequency one, which does not count.
_WEIGHTS = {5: (1, 1, 1, 1.41, 1.41), 6: (1, 1, 1, 0, 1.41, 1.41)}
_OVERSAMPLING = 4


def programme_loudness_lufs(samples: np.ndarray, sample_rate: int) -> float | None:
    """Measure the integrated loudness of a recording.

    Args:
        samples: [C, T] of a floating type at full scale 1, or int32 with its bits on the left.
        sample_rate: Hz.

    Returns:
        LUFS; None where nothing is louder than the absolute gate, or all is shorter than a block of 0.4 s.

    Source: ITU-R BS.1770-4; the weighting filters are pyloudnorm's.
    Differs: blocks begin every 0.1 s rounded to whole samples.
    """
    hop = round(BLOCK_S / 4 * sample_rate)
    powers = np.concatenate([*_hop_powers(samples, sample_rate, hop)])
    if len(powers) < 4:
        return None
    blocks = np.convolve(powers, np.full(4, 0.25), "valid")
    loud = blocks[_lufs(blocks) > _ABSOLUTE_LUFS]
    if len(loud) == 0:
        return None
    return float(_lufs(loud[_lufs(loud) > _lufs(loud.mean()) + _RELATIVE_DB].mean()))


def true_peak(samples: np.ndarray, sample_rate: int) -> float:
    """Return the highest magnitude of any channel between its samples too, by oversampling four times.

    Args:
        samples: see `programme_loudness_lufs`.
        sample_rate: Hz.

    Source: ITU-R BS.1770-4, annex 2.
    Differs: soxr is the oversampling filter.
    """
    channels, total = samples.shape
    stream = soxr.ResampleStream(sample_rate, _OVERSAMPLING * sample_rate, channels, "float32", quality="HQ")
    chunk, peak = _CHUNK_S * sample_rate, 0.0
    for first in range(0, total, chunk):
        block = np.ascontiguousarray(full_scale(samples[:, first : first + chunk]).T, np.float32)
        between = stream.resample_chunk(block, last=first + chunk >= total)
        peak = max(peak, *(float(np.abs(own).max(initial=0)) for own in (block, between)))
    return peak


def full_scale(samples: np.ndarray) -> np.ndarray:
    """Return float64 samples at full scale 1, or floating ones as they are."""
    return samples / 2.0**31 if samples.dtype.kind == "i" else samples


def _hop_powers(samples: np.ndarray, sample_rate: int, hop: int):
    """Yield the weighted mean squares of whole hops, the channels summed."""
    channels, total = samples.shape
    weights = np.array(_WEIGHTS.get(channels, (1,) * channels), np.float64)
    filters = list(Meter(sample_rate)._filters.values())
    states = [np.zeros((channels, 2)) for _ in filters]
    chunk = hop * max(1, _CHUNK_S * sample_rate // hop)
    for first in range(0, total, chunk):
        block = np.asarray(full_scale(samples[:, first : first + chunk]), np.float64)
        for number, own in enumerate(filters):
            block, states[number] = lfilter(own.b, own.a, block, zi=states[number])
            block *= own.passband_gain
        whole = block[:, : block.shape[1] // hop * hop].reshape(channels, -1, hop)
        yield weights @ np.square(whole).mean(axis=2)


def _lufs(power: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return -0.691 + 10 * np.log10(power)
