"""Joins at which one passage fades into another over beats, where waves tell nothing: by the power of frames."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.ndimage import uniform_filter1d

from soundgate.tracks.editor.recovery.alignment import Run
from soundgate.tracks.editor.recovery.features import HOP, Frames, rows_between
from soundgate.tracks.editor.recovery.transitions import HALF_BEATS, Transition

# Bands this much below a frame's loudest say nothing; nor do differences beyond the largest one.
_AUDIBLE_DB = -40.0
_LARGEST_DB = 12.0
_FLOOR = 1e-12
# Frames over which power is averaged, as a phase vocoder moves it about within; and those that count as one proof.
_SMOOTHED, _INDEPENDENT = 4, 8
# A crossfade leaves at most this share of what the best splice leaves, and is better by as many standard errors.
_BETTER, _SURE = 0.88, 2.5


def find_frame_transitions(
    runs: list[Run], frames: tuple[Frames, Frames], beats: np.ndarray, beat: int
) -> list[Transition]:
    """Test every join of runs: does the power of two passages, crossfaded, explain the edit's better than a splice?

    Args:
        runs: in samples, exact to a frame.
        frames: of the edit and of the raw recording.
        beats: int64 [n, 2], spans of the raw recording.
        beat: samples of a typical beat.
    """
    found: list[Transition] = []
    power = frames[1].power * _usual_gain(runs, frames)
    for left, right in pairwise(runs):
        best = _best_fit(left, right, (frames[0].power, power), beats, beat)
        if best is not None and (not found or best.start >= found[-1].stop - beat // 2):
            found.append(best)
    return found


def _usual_gain(runs: list[Run], frames: tuple[Frames, Frames]) -> np.ndarray:
    """Return by what the power of each band was usually multiplied, [n_mels]."""
    gains = [np.zeros((0, frames[0].power.shape[1]))]
    for run in runs:
        first, last = run.start // HOP, min(run.stop // HOP, len(frames[0].power))
        source = rows_between(frames[1].power, first + run.lag / HOP, last - first)
        if len(source) == last - first:
            gains.append(np.log(np.maximum(frames[0].power[first:last], _FLOOR) / np.maximum(source, _FLOOR)))
    gains = np.concatenate(gains)
    return np.exp(np.median(gains, axis=0)).astype(np.float32) if len(gains) else np.ones(gains.shape[1], np.float32)


def _best_fit(
    left: Run, right: Run, powers: tuple[np.ndarray, np.ndarray], beats: np.ndarray, beat: int
) -> Transition | None:  # fmt: skip
    """Return the crossfade that takes most away from what a splice leaves, if that is clearly less."""
    longest = max(HALF_BEATS) * beat // 2
    first = max(left.start, left.stop - longest, 0) // HOP
    last = min(right.stop, left.stop + longest, (len(powers[0]) - 1) * HOP) // HOP
    own = powers[0][first:last]
    sides = [rows_between(powers[1], first + run.lag / HOP, last - first) for run in (left, right)]
    if any(len(side) != len(own) for side in sides):
        return None
    alone = [_difference(own, side) for side in sides]
    starts = np.concatenate([beats[:, 0] - left.lag, beats[:, 0] - right.lag])
    best, fit = 0.0, None
    for start in np.unique(starts[(starts >= (first - 1) * HOP) & (starts < left.stop)]):
        for half_beats in HALF_BEATS:
            stop = start + half_beats * beat // 2
            inside = slice(max(round(start / HOP) - first, 0), round(stop / HOP) - first)
            if not left.stop < stop <= (last + 1) * HOP or inside.stop - inside.start < 2 * _INDEPENDENT:
                continue
            angle = np.linspace(0, np.pi / 2, len(own[inside]))[:, None]
            crossfaded = np.cos(angle) ** 2 * sides[0][inside] + np.sin(angle) ** 2 * sides[1][inside]
            gained = _gained(*(side[inside] for side in alone), _difference(own[inside], crossfaded))
            if gained > best:
                best, fit = gained, Transition(max(int(start), 0), int(stop), left.lag, right.lag)
    return fit


def _gained(left: np.ndarray, right: np.ndarray, crossfaded: np.ndarray) -> float:
    """Return by how much a crossfade leaves less than the best splice of the same frames, dB; 0 where not clearly."""
    place = int((np.cumsum(left) - np.cumsum(right)).argmin()) + 1
    splice = np.concatenate([left[:place], right[place:]])
    less = splice - crossfaded
    parts = less[: len(less) // _INDEPENDENT * _INDEPENDENT].reshape(-1, _INDEPENDENT).mean(axis=1)
    sure = parts.mean() > _SURE * parts.std(ddof=1) / np.sqrt(len(parts))
    return float(less.sum()) if sure and crossfaded.mean() < _BETTER * splice.mean() else 0.0


def _difference(own: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Return how far each frame's audible bands are from a model's, mean dB, [T] of powers [T, n_mels]."""
    smooth = (uniform_filter1d(power, _SMOOTHED, axis=0) for power in (own, model))
    own_db, model_db = (10 * np.log10(np.maximum(power, _FLOOR)) for power in smooth)
    louder = np.maximum(own_db, model_db)
    heard = louder > louder.max(axis=1, keepdims=True) + _AUDIBLE_DB
    return (np.minimum(np.abs(own_db - model_db), _LARGEST_DB) * heard).sum(axis=1) / heard.sum(axis=1)
