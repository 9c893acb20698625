"""Bringing a result to its source's loudness without clipping."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from soundgate.audio.programme import programme_loudness_lufs
from soundgate.tracks.transfer.transferring.limiter import limit
from soundgate.tracks.transfer.transferring.recordings import BLOCK, read_floats

# Nothing computed is louder, of full scale; peaks are limited by so much at the most, then all is quieter.
PEAK, MOST_LIMITED_DB = 0.99, 6.0
# A limiter takes some of the loudness away, which is given back as often.
_ROUNDS, _CLOSE_DB = 3, 0.05


class Levelled(NamedTuple):
    """What was done to a result's level.

    Args:
        source_lufs: loudness of the source; None where it is too short or too quiet to have one.
        result_lufs: of the result; likewise.
        limited_db: by how much peaks were made quieter, so that nothing clips; 0 or more.
        short_db: by how much the result is quieter than its source all the same; 0 or more.
    """

    source_lufs: float | None
    result_lufs: float | None
    limited_db: float
    short_db: float


def match_loudness(samples: np.ndarray, source: np.ndarray, rate: int) -> Levelled:
    """Bring a result in place to the loudness of its source; peaks that would pass ``PEAK`` are limited.

    What is too short or too quiet for a loudness is brought to the source's mean square.

    Args:
        samples: float32 [C, T].
        source: [C, T], floats at full scale 1 or int32 with its bits on the left.
        rate: Hz.

    Source: ITU-R BS.1770-4 by `soundgate.audio.programme.programme_loudness_lufs`.
    """
    before = programme_loudness_lufs(source, rate)
    if before is None or programme_loudness_lufs(samples, rate) is None:
        return _match_power(samples, source, rate)
    room_db, limited_db = MOST_LIMITED_DB, 0.0
    for number in range(_ROUNDS):
        short_db = before - programme_loudness_lufs(samples, rate)
        if number and abs(short_db) < _CLOSE_DB:
            break
        own_db = _scale_within(samples, short_db, room_db, rate)
        limited_db, room_db = limited_db + own_db, room_db - own_db
    found = programme_loudness_lufs(samples, rate)
    return Levelled(before, found, limited_db, max(0.0, before - found))


def _match_power(samples: np.ndarray, source: np.ndarray, rate: int) -> Levelled:
    (power, _), (own_power, _) = _power_and_peak(source), _power_and_peak(samples)
    if own_power == 0:
        return Levelled(None, None, 0.0, 0.0)
    limited_db = _scale_within(samples, 10 * float(np.log10(power / own_power)), MOST_LIMITED_DB, rate)
    short_db = 10 * float(np.log10(power / _power_and_peak(samples)[0]))
    return Levelled(None, None, limited_db, max(0.0, short_db))


def _scale_within(samples: np.ndarray, gain_db: float, room_db: float, rate: int) -> float:
    """Scale in place by a gain, or by less where peaks would have to be limited by more than there is room for.

    Returns:
        By how many dB the highest peak was limited.
    """
    _, peak = _power_and_peak(samples)
    over_db = 20 * float(np.log10(peak / PEAK)) + gain_db
    gain_db -= max(0.0, over_db - room_db)
    scale(samples, 10 ** (gain_db / 20))
    return -limit(samples, rate, PEAK) if over_db > 0 else 0.0


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
