"""Fits a recording to a length: which bars are played, so that joins are heard least."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from soundgate.tracks.editor.deciding.bars import Bars

# What every join costs, beside what is heard at it; of two that are alike nothing is heard.
_JOIN = 0.3
# dB of level that cost as much as features that have nothing in common.
_LEVEL_DB = 12.0
# Of a bar of the target length that is missed.
_MISSED = 0.05
# Bars that are played between two joins at least: the first number with which the length is reached.
_RUNS = (4, 2, 1)
# Parts of a bar by which lengths are counted; of a recording of many bars whole ones.
_PARTS, _MANY_BARS = 4, 400
# A recording is played at most this many times as long.
LONGEST = 4.0


class Fit(NamedTuple):
    """A choice of bars.

    Args:
        bars: numbers of the bars, in the order of playing.
        seconds: how long they are together.
        cost: of its joins.
    """

    bars: np.ndarray
    seconds: float
    cost: float


class Reach(NamedTuple):
    """Lengths that can be reached, in s."""

    shortest: float
    longest: float


def join_costs(bars: Bars) -> np.ndarray:
    """Return what is heard where bar ``i`` is followed by bar ``j``, float [n, n]; 0 where ``j`` is the next.

    The beat that ends bar ``i`` is compared with the one before bar ``j``, and the beat that begins bar ``j`` with the
    one that follows bar ``i``: a join is not heard where both are alike.
    """
    starts, stops = bars.edges[:-1], bars.edges[1:] - 1
    first, last = bars.beats[starts], bars.beats[stops]
    level = bars.level_db
    after = np.append(np.arange(1, bars.n_bars), -1)
    before = np.arange(-1, bars.n_bars - 1)
    ends = 1 - last @ last[before].T + np.abs(level[stops][:, None] - level[stops][before]) / _LEVEL_DB
    begins = 1 - first[after] @ first.T + np.abs(level[starts][after][:, None] - level[starts]) / _LEVEL_DB
    costs = (ends + begins) / 2 + _JOIN
    # Nothing follows the last bar, and nothing lies before the first.
    costs[:, 0] = (begins[:, 0] + 1) / 2 + _JOIN
    costs[-1] = (ends[-1] + 1) / 2 + _JOIN
    costs[np.arange(bars.n_bars - 1), np.arange(1, bars.n_bars)] = 0
    return costs


def fit(costs: np.ndarray, bar_s: np.ndarray, target_s: float, needed: np.ndarray) -> Fit | Reach:
    """Return the bars to play for a length, or which lengths can be reached.

    The first bar begins and the last one ends. A shorter length leaves bars out, in their order; a longer one goes back
    and plays bars again. At least four bars are played between joins, fewer only where the length asks for it.

    Args:
        costs: [n, n], from `join_costs`.
        bar_s: float [n], lengths in s.
        target_s: within one bar of which the result must be.
        needed: bool [n], bars that are not left out.
    """
    whole, bar = float(bar_s.sum()), float(np.median(bar_s))
    if abs(whole - target_s) <= bar / 2 or len(bar_s) < 2:
        near = abs(whole - target_s) <= bar
        return Fit(np.arange(len(bar_s)), whole, 0.0) if near else Reach(whole, whole)
    longer = target_s > whole
    if target_s > LONGEST * whole:
        return _reach(costs, bar_s, needed)
    allowed = _jumps(needed, longer)
    for run in _RUNS:
        found = _shortest_path(np.where(allowed, costs, np.inf), bar_s, target_s, min(run, len(bar_s)))
        if found is not None:
            return found
    return _reach(costs, bar_s, needed)


def _jumps(needed: np.ndarray, longer: bool) -> np.ndarray:
    """Return which bar may follow which, bool [n, n]."""
    numbers = np.arange(len(needed))
    step = numbers[None, :] - numbers[:, None]
    if longer:
        return step <= 1
    count = np.append(0, np.cumsum(needed))
    # Needed bars strictly between both.
    skipped = count[numbers][None, :] - count[numbers + 1][:, None]
    return (step == 1) | ((step > 1) & (skipped == 0))


def _shortest_path(costs: np.ndarray, bar_s: np.ndarray, target_s: float, run: int) -> Fit | None:
    """Find the cheapest sequence of bars by dynamic programming over length, bar and bars since the last join.

    Source: a semi-Markov decoder with a least duration (Rabiner 1989, section IV-D), over bars.
    """
    n_bars, bar = len(bar_s), float(np.median(bar_s))
    parts = _PARTS if n_bars <= _MANY_BARS else 1
    unit = bar / parts
    # Rounded so that the errors do not add up.
    ends = np.rint(np.cumsum(bar_s) / unit).astype(int)
    length = np.maximum(np.diff(ends, prepend=0), 1)
    n_units = int(target_s / unit) + parts + 2
    best = np.full((n_units + 1, run, n_bars), np.inf)
    back = np.full((n_units + 1, run, n_bars, 2), -1, np.int32)
    if length[0] > n_units:
        return None
    best[length[0], 0, 0] = 0
    jumps, numbers = costs.copy(), np.arange(n_bars)
    jumps[numbers[:-1], numbers[1:]] = np.inf
    for units in range(1, n_units + 1):
        there = np.maximum(units - length, 0)
        for since in range(run):
            # The bar that follows, at no cost.
            came = np.append(np.inf, best[there[1:], since, numbers[:-1]])
            _improve(best, back, (units, min(since + 1, run - 1)), came, since, numbers - 1)
        joined = best[there, run - 1, :].T + jumps
        source = joined.argmin(axis=0)
        _improve(best, back, (units, 0), joined[source, numbers], run - 1, source)
    return _traced(best, back, length, bar_s, target_s)


def _improve(
    best: np.ndarray, back: np.ndarray, place: tuple[int, int], costs: np.ndarray, since: int, source: np.ndarray
) -> None:
    """Take over what costs less than what is known; both tables are changed."""
    better = costs < best[place]
    best[place][better] = costs[better]
    back[place][better] = np.stack([np.full(len(source), since), source], axis=1)[better]


def _traced(best: np.ndarray, back: np.ndarray, length: np.ndarray, bar_s: np.ndarray, target_s: float) -> Fit | None:
    """Follow the cheapest path back from the last bar, of those that end within a bar of the target."""
    last, run, bar = best.shape[2] - 1, best.shape[1], float(np.median(bar_s))
    found: Fit | None = None
    for units in range(len(best)):
        # What follows the last join is as long as anything else.
        cost = best[units, run - 1, last]
        if not np.isfinite(cost):
            continue
        path, state = [last], (units, run - 1, last)
        while back[state][1] >= 0:
            since, before = back[state]
            state = (state[0] - length[state[2]], int(since), int(before))
            path.append(state[2])
        played = np.array(path[::-1])
        seconds = float(bar_s[played].sum())
        total = float(cost + _MISSED * abs(seconds - target_s) / bar)
        if abs(seconds - target_s) <= bar and (found is None or total < found.cost):
            found = Fit(played, seconds, total)
    return found


def _reach(costs: np.ndarray, bar_s: np.ndarray, needed: np.ndarray) -> Reach:
    kept = needed.copy()
    kept[[0, -1]] = True
    whole = float(bar_s.sum())
    return Reach(float(bar_s[kept].sum()), LONGEST * whole)
