"""Runs of the edit to the sample: their lags, which of several takes they play, where they meet."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from soundgate.tracks.editor.recovery.alignment import Run
from soundgate.tracks.editor.recovery.features import HOP, Frames
from soundgate.tracks.editor.recovery.sound import Shifted, exact_lags

_LONGEST = 4 * 22_050
_SHORTEST = 4 * HOP
_TAKE_FRAMES = 12
_TAKE_LIKENESS = 0.4
_TAKE_CORRELATION = 0.8
_MAX_TAKES = 16
_PROBE = 4_096
_EQUAL = 5e-4
_SAME_LAG = 4
_STAY = 1.1


@dataclass(frozen=True)
class Sounds:
    """Both recordings as they are compared.

    Attributes:
        edit: emphasised, float32 [T].
        raw: emphasised, read between its samples.
        music: the raw recording as it is, in which the noise of takes weighs little.
        frames: of the raw recording.
        beats: int64 [n, 2], spans of the raw recording.
    """

    edit: np.ndarray
    raw: Shifted
    music: np.ndarray
    frames: Frames
    beats: np.ndarray

    def source(self, start: int, stop: int, lag: float) -> np.ndarray:
        """Return what the raw recording has where the edit has ``start:stop``, zeros outside of it."""
        return self.raw.at(start + lag, stop - start)


def to_samples(runs: list[Run], sounds: Sounds) -> list[Run]:
    """Turn runs in frames into runs in samples with exact lags; those that are too short join their neighbour."""
    n_edit, found = len(sounds.edit), []
    for run in runs:
        start, stop = run.start * HOP, min(run.stop * HOP, n_edit)
        if stop - start < _SHORTEST and found:
            found[-1] = found[-1]._replace(stop=stop)
            continue
        middle, half = (start + stop) // 2, min(stop - start, _LONGEST) // 2
        wanted = sounds.edit[middle - half : middle + half]
        [place], _ = exact_lags(wanted, sounds.raw.wav, [middle - half + run.lag * HOP], 2 * HOP)
        found.append(Run(start, stop, float(place) - middle + half))
    if found:
        found[-1] = found[-1]._replace(stop=n_edit)
    return merged(found)


def runs_in_frames(runs: list[Run], n_edit: int) -> list[Run]:
    """Return runs in frames as runs in samples, exact to a frame; those that are too short join their neighbour."""
    found: list[Run] = []
    for run in runs:
        start, stop = run.start * HOP, min(run.stop * HOP, n_edit)
        if stop - start < _SHORTEST and found:
            found[-1] = found[-1]._replace(stop=stop)
        else:
            found.append(Run(start, stop, run.lag * HOP))
    return merged(found)


def merged(runs: list[Run]) -> list[Run]:
    """Join neighbours of one lag."""
    result: list[Run] = []
    for run in runs:
        if result and abs(result[-1].lag - run.lag) <= _SAME_LAG:
            result[-1] = result[-1]._replace(stop=run.stop)
        elif run.stop > run.start:
            result.append(run)
    return result


def choose_takes(runs: list[Run], sounds: Sounds) -> list[Run]:
    """Let each beat come from the take it is made of, where the raw recording has the same music more than once.

    Takes differ by little; the one that explains most of the edit is it. Where several do so equally, a beat goes
    with the one before it.
    """
    alike = _alike_beats(sounds)
    cells: list[Run] = []
    for run in runs:
        beats = np.flatnonzero(_overlap(sounds.beats - run.lag, run) >= _SHORTEST)
        shift = 0.0
        for number, beat in enumerate(beats):
            start = run.start if number == 0 else max(run.start, round(sounds.beats[beat, 0] - run.lag))
            stop = run.stop if beat == beats[-1] else min(run.stop, round(sounds.beats[beat, 1] - run.lag))
            shift = _take(sounds, Run(start, stop, run.lag), int(beat), alike[beat], shift)
            cells.append(Run(start, stop, run.lag + shift))
        if len(beats) == 0:
            cells.append(run)
    return merged(_settled(_settled(cells, sounds)[::-1], sounds)[::-1])


def _settled(cells: list[Run], sounds: Sounds) -> list[Run]:
    """Let each cell have the lag of a neighbour that explains it better, or as well as its own."""
    cells = list(cells)
    for number, cell in enumerate(cells):
        around = [cells[n].lag for n in (number - 1, number + 1) if 0 <= n < len(cells)]
        here = sounds.edit[cell.start : cell.stop]
        explained = {lag: _explained(here, sounds.source(cell.start, cell.stop, lag)) for lag in (*around, cell.lag)}
        best = max(explained.values())
        cells[number] = cell._replace(lag=next(lag for lag, own in explained.items() if own >= best * (1 - _EQUAL)))
    return cells


def _overlap(spans: np.ndarray, run: Run) -> np.ndarray:
    return np.minimum(spans[:, 1], run.stop) - np.maximum(spans[:, 0], run.start)


def _alike_beats(sounds: Sounds) -> list[np.ndarray]:
    """Return for each beat the other beats that sound the same, the most alike first."""
    shape, n_frames = sounds.frames.shape, len(sounds.frames.shape)
    first = np.rint(sounds.beats[:, 0] / HOP).astype(int)
    rows = shape[np.minimum(first[:, None] + np.arange(_TAKE_FRAMES), n_frames - 1)].reshape(len(first), -1)
    likeness = rows @ rows.T / _TAKE_FRAMES
    np.fill_diagonal(likeness, -1)
    order = np.argsort(-likeness, axis=1, kind="stable")[:, :_MAX_TAKES]
    return [own[likeness[beat, own] > _TAKE_LIKENESS] for beat, own in enumerate(order)]


def _take(sounds: Sounds, cell: Run, beat: int, alike: np.ndarray, previous: float) -> float:
    """Return by how much later than the cell's lag says the take lies that it plays."""
    here = sounds.edit[cell.start : cell.stop]
    middle, half = round((cell.start + cell.stop) // 2 + cell.lag), min(_PROBE, cell.stop - cell.start) // 2
    middle = min(max(middle, half), len(sounds.raw) - half)
    shifts = {0.0}
    if len(alike):
        start = middle - half
        abouts = start + sounds.beats[alike, 0] - sounds.beats[beat, 0]
        places, correlations = exact_lags(sounds.music[start : middle + half], sounds.music, abouts, HOP)
        shifts |= {float(place) - start for place in places[correlations > _TAKE_CORRELATION]}
    if len(shifts) == 1:
        return 0.0
    shifts.add(previous)
    explained = {shift: _explained(here, sounds.source(cell.start, cell.stop, cell.lag + shift)) for shift in shifts}
    best = max(explained, key=lambda shift: (explained[shift], -shift))
    return previous if explained[previous] >= explained[best] * (1 - _EQUAL) else best


def _explained(here: np.ndarray, there: np.ndarray) -> float:
    """Return the energy of the one that a positive multiple of the other has."""
    energy = float(there @ there)
    return max(float(here @ there), 0.0) ** 2 / energy if energy else 0.0


def place_splices(runs: list[Run], sounds: Sounds, reach: int, snap: int) -> list[Run]:
    """Move the ends of runs to where the left one stops fitting and the right one starts.

    Args:
        runs: in samples.
        sounds: both recordings.
        reach: how far an end may move.
        snap: it goes to a beat of the raw recording that is as near as this.
    """
    edges = [run.start for run in runs] + [runs[-1].stop]
    for number, (left, right) in enumerate(pairwise(runs), 1):
        start = max(edges[number] - reach, (left.start + left.stop) // 2)
        stop = min(edges[number] + reach, (right.start + right.stop) // 2)
        cost = _splice_cost(sounds, left.lag, right.lag, (start, edges[number], stop))
        own_cost = cost[edges[number] - start]
        stays = own_cost <= _STAY * cost.min()
        edge = edges[number] if stays else start + int(cost.argmin())
        starts = sounds.beats[:, 0]
        marks = np.concatenate([starts - left.lag, starts - right.lag])
        nearest = round(marks[np.abs(marks - edge).argmin()])
        near = abs(nearest - edge) <= snap and start < nearest < stop
        # One that stays lies on a frame: the beat beside it, if that fits as well, is the place.
        edges[number] = nearest if near and (not stays or cost[nearest - start] <= own_cost) else edge
    return merged([run._replace(start=a, stop=b) for run, (a, b) in zip(runs, pairwise(edges), strict=True)])


def _splice_cost(sounds: Sounds, left_lag: float, right_lag: float, around: tuple[int, int, int]) -> np.ndarray:
    """Return the squared error for each place of a splice from the first to the last of three positions.

    Each side has the gain that fits best on its own side of the middle position.
    """
    start, edge, stop = around
    here = sounds.edit[start:stop]
    errors = []
    for lag, own in ((left_lag, slice(0, edge - start)), (right_lag, slice(edge - start, None))):
        there = sounds.source(start, stop, lag)
        energy = float(there[own] @ there[own])
        gain = max(float(here[own] @ there[own]), 0.0) / energy if energy else 0.0
        errors.append(np.square(here - np.float32(gain) * there, dtype=np.float64))
    before = np.concatenate([[0], np.cumsum(errors[0])])
    after = np.concatenate([np.cumsum(errors[1][::-1])[::-1], [0]])
    return before + after
