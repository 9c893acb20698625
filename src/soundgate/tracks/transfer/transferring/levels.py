"""Bringing a result to its source's loudness without clipping, and blending the two."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from soundgate.audio.programme import programme_loudness_lufs
from soundgate.tracks.transfer.transferring.recordings import BLOCK, read_floats

# Nothing computed is louder, of full scale.
PEAK = 0.99


class Levelled(NamedTuple):
    """What was done to a result's level.

    Args:
        source_lufs: loudness of the source; None where it is too short or too quiet to have one.
        result_lufs: of the result; likewise.
        gain_db: by which the result was scaled.
        short_db: by how much it is quieter than its source, so that nothing clips; 0 or more.
    """

    source_lufs: float | None
    result_lufs: float | None
    gain_db: float
    short_db: float


def match_loudness(samples: np.ndarray, source: np.ndarray, rate: int) -> Levelled:
    """Scale a result in place to the loudness of its source, or less where a sample would pass ``PEAK``.

    What is too short or too quiet for a loudness is brought to the source's mean square.

    Args:
        samples: float32 [C, T].
        source: [C, T], floats at full scale 1 or int32 with its bits on the left.
        rate: Hz.

    Source: ITU-R BS.1770-4 by `soundgate.audio.programme.programme_loudness_lufs`.
    """
    before, after = (programme_loudness_lufs(one, rate) for one in (source, samples))
    (power, _), (own_power, peak) = _power_and_peak(source), _power_and_peak(samples)
    if own_power == 0:
        return Levelled(before, after, 0.0, 0.0)
    by_power = before is None or after is None
    wanted_db = 10 * np.log10(power / own_power) if by_power else before - after
    gain_db = min(float(wanted_db), 20 * float(np.log10(PEAK / peak)))
    scale(samples, 10 ** (gain_db / 20))
    made = None if after is None else after + gain_db
    return Levelled(before, made, gain_db, max(0.0, float(wanted_db) - gain_db))


def scale(samples: np.ndarray, gain: float) -> None:
    """Multiply [C, T] in place, block by block."""
    for first in range(0, samples.shape[1], BLOCK):
        samples[:, first : first + BLOCK] *= np.float32(gain)


def _power_and_peak(samples: np.ndarray) -> tuple[float, float]:
    total, peak = 0.0, 0.0
    for first in range(0, samples.shape[1], BLOCK):
        block = read_floats(samples, first, first + BLOCK)
        total += float(np.square(block, dtype=np.float64).sum())
        peak = max(peak, float(np.abs(block).max(initial=0)))
    return total / max(samples.size, 1), peak
