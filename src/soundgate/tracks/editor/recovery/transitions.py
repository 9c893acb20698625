"""Joins at which one passage fades into another over beats, told from splices by fitting both at once."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from soundgate.tracks.editor.recovery.alignment import Run
from soundgate.tracks.editor.recovery.runs import Sounds
from soundgate.tracks.editor.recovery.sound import passage, two_gains

HALF_BEATS = (2, 3, 4, 6, 8, 12, 16)
_HEARD = 0.2
_BETTER = 0.8
# Two takes of the same music always fit together better than one of them.
_ALIKE = 0.6


class Transition(NamedTuple):
    """A crossfade in the edit.

    Args:
        start: first sample in the edit.
        stop: one past the last.
        from_lag: where what fades out lies in the raw recording, relative to the edit.
        to_lag: likewise what fades in.
    """

    start: int
    stop: int
    from_lag: float
    to_lag: float


def find_transitions(runs: list[Run], sounds: Sounds, beat: int) -> list[Transition]:
    """Test every join of runs.

    Args:
        runs: in samples.
        sounds: both recordings.
        beat: samples of a typical beat.
    """
    found = []
    for left, right in pairwise(runs):
        reach = min(beat, left.stop - left.start, right.stop - right.start) // 2
        if _heard_beyond(sounds, left, right, reach):
            best = _best_fit(sounds, left, right, beat)
            if best is not None and (not found or best.start >= found[-1].stop - beat // 2):
                found.append(best)
    return found


def _heard_beyond(sounds: Sounds, left: Run, right: Run, reach: int) -> bool:
    """Say whether the left passage goes on after the join, and the right one was there before it."""
    gains = []
    for begin in (left.stop - reach, left.stop):
        span = (begin, begin + reach)
        own = [sounds.source(*span, lag) for lag in (left.lag, right.lag)]
        gains.append(two_gains(passage(sounds.edit, *span), *own))
    (left_before, right_before), (left_after, right_after) = gains
    return left_after > _HEARD * left_before and right_before > _HEARD * right_after


def _best_fit(sounds: Sounds, left: Run, right: Run, beat: int) -> Transition | None:
    """Return the crossfade that explains the join best, if it does so clearly better than a splice."""
    longest = max(HALF_BEATS) * beat // 2
    window = (left.stop - longest, left.stop + longest)
    window = (max(window[0], left.start, 0), min(window[1], right.stop))
    here = passage(sounds.edit, *window)
    first, second = (sounds.source(*window, lag) for lag in (left.lag, right.lag))
    starts = np.concatenate([sounds.beats[:, 0] - left.lag, sounds.beats[:, 0] - right.lag])
    starts = np.unique(starts[(starts > window[0] - beat // 4) & (starts < left.stop)])
    splice = _error(here, first, second, left.stop - window[0], left.stop - window[0])
    heard = [passage(sounds.music, window[0] + round(lag), window[1] + round(lag)) for lag in (left.lag, right.lag)]
    if heard[0] @ heard[1] > _ALIKE * np.linalg.norm(heard[0]) * np.linalg.norm(heard[1]):
        return None
    fits = []
    for start in starts:
        for half_beats in HALF_BEATS:
            stop = int(start) + half_beats * beat // 2
            if left.stop < stop <= window[1] + beat // 4:
                fits.append((_error(here, first, second, int(start) - window[0], stop - window[0]), int(start), stop))
    if not fits or min(fits)[0] > _BETTER * splice:
        return None
    _, start, stop = min(fits)
    return Transition(max(start, 0), min(stop, len(sounds.edit)), left.lag, right.lag)


def _error(here: np.ndarray, first: np.ndarray, second: np.ndarray, start: int, stop: int) -> float:
    """Return the squared error of an equal-power crossfade from ``start`` to ``stop``, each side at its best gain."""
    position = (np.arange(len(here)) - start + 0.5) / max(stop - start, 1)
    angle = np.clip(position, 0, 1).astype(np.float32) * np.float32(np.pi / 2)
    ending, beginning = np.cos(angle) * first, np.sin(angle) * second
    a, b = two_gains(here, ending, beginning)
    return float(np.square(here - np.float32(a) * ending - np.float32(b) * beginning).sum())
