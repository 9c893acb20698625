"""Dead air: stretches in which nothing is heard but the room."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter1d

from soundgate.tracks.editor.deciding.hearing import HOP_S, QUIETEST_DB, Heard
from soundgate.tracks.editor.deciding.spans import ramp, runs_of

# Relative to the active level: what is louder is no dead air.
_LOUDEST_DB = -32.0
# The room's level is even: what lies further above the stretch's quiet frames is a decay, a fade or a breath.
_EVEN_DB = 8.0
# A chair or a page turned within it does not end it.
_BRIDGED_S = 0.3
_BRIDGED_DB = -22.0
# Score 0 and 1: of length (a general pause of the music is shorter) and of depth.
_LENGTH_S = (0.7, 1.8)
_DEPTH_DB = (-34.0, -42.0)
SHORTEST_S = _LENGTH_S[0]


class Quiet(NamedTuple):
    """A stretch of dead air.

    Args:
        start: first frame.
        stop: one past the last.
        score: how sure it is, 0 to 1.
    """

    start: int
    stop: int
    score: float


def find_dead_air(heard: Heard) -> list[Quiet]:
    """Return the stretches of dead air, in the order of time.

    The level lies far below the recording's active level, and it is even: neither the tail of a note nor a fade-out
    is dead air, however quiet.

    Args:
        heard: the recording.
    """
    # A frame next to a loud one holds some of it.
    level = maximum_filter1d(heard.level_db, 3)
    even = np.zeros(len(level), bool)
    for start, stop in runs_of(level < _LOUDEST_DB):
        # A stretch may have a loud room in one part and digital silence in another: both are even.
        even[start:stop] = _even(level[start:stop])
    bridged = _bridge(even, heard.level_db)
    found = []
    for start, stop in runs_of(bridged):
        inside = heard.level_db[start:stop]
        score = ramp((stop - start) * HOP_S, *_LENGTH_S) * ramp(float(np.median(inside)), *_DEPTH_DB)
        if score > 0:
            found.append(Quiet(int(start), int(stop), score))
    return found


def _even(level: np.ndarray) -> np.ndarray:
    """Return which frames of a quiet stretch lie near its quiet level, or near that of the second around them."""
    window = round(0.5 / HOP_S)
    near = np.zeros(len(level), bool)
    for first in range(0, len(level), window):
        around = level[max(first - window, 0) : first + 2 * window]
        floor = max(np.percentile(around, 20), QUIETEST_DB)
        steady = np.percentile(around, 90) - np.percentile(around, 10) < _EVEN_DB
        part = slice(first, first + window)
        near[part] = steady & (level[part] < floor + _EVEN_DB)
    return near | (level < max(np.percentile(level, 20), QUIETEST_DB) + _EVEN_DB)


def _bridge(quiet: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Close short gaps that are not loud."""
    bridged = quiet.copy()
    for start, stop in runs_of(~quiet):
        inner = start > 0 and stop < len(quiet)
        if inner and (stop - start) * HOP_S <= _BRIDGED_S and level[start:stop].max() < _BRIDGED_DB:
            bridged[start:stop] = True
    return bridged
