"""How fast an edit runs by the raw recording's clock: converters' drift, and stretches of a few per cent."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import soxr

from soundgate.tracks.editor.recovery.alignment import Run
from soundgate.tracks.editor.recovery.features import HOP
from soundgate.tracks.editor.recovery.sound import exact_lags, passage

_LARGEST = 0.06
_STEP = 0.0025
_PROBES, _PROBE_FRAMES = 8, 320
_BETTER = 1.02
_MOST_BLOCKS = 160
CORRELATED = 0.3
# Less than this many samples over the longest run is no drift: runs are then right to the sample all the same.
_NO_DRIFT = 0.5
# Frames of the passages whose lags magnitudes tell, how many of them, and how far off they may be.
_FRAME_BLOCK, _FRAME_REACH = 96, 4


class Clock(NamedTuple):
    """What the edit's clock is by the raw recording's.

    Args:
        rate: seconds of the raw recording that one second of the edit plays.
        polarity: 1, or -1 where the edit is upside down.
        coherence: median correlation of short passages with their sources; near 0 where magnitudes alone agree.
        pitch_kept: whether another rate left the pitch as it was, as a phase vocoder does.
        wander: points (second of the edit at that rate, by how many seconds it is late there) of a slow curve that
            drift follows beside the rate; empty without any.
    """

    rate: float = 1.0
    polarity: int = 1
    coherence: float = 1.0
    pitch_kept: bool = False
    wander: tuple[tuple[float, float], ...] = ()


def on_raw_clock(edit: np.ndarray, rate: float) -> np.ndarray:
    """Return an edit [T] as long as what it plays of the raw recording."""
    if rate == 1:
        return edit
    return soxr.resample(edit, 1.0, rate, quality="HQ").astype(np.float32)


def coarse_rate(edit: np.ndarray, raw: np.ndarray) -> float:
    """Find by how much an edit was stretched, from frames: the rate at which probes of it match best.

    Args:
        edit: float32 [T, D], rows of length at most 1.
        raw: float32 [N, D], likewise.

    Returns:
        Seconds of the raw recording for each of the edit, 0.94 to 1.06; 1 unless another is clearly better.
    """
    rates = 1 + _STEP * np.arange(-round(_LARGEST / _STEP), round(_LARGEST / _STEP) + 1)
    length = min(_PROBE_FRAMES, len(edit) // 2)
    if length < 8:
        return 1.0
    scores = np.zeros(len(rates))
    for start in np.unique(np.linspace(0, len(edit) - length, _PROBES).astype(int)):
        scores += _matches(edit[start : start + length], raw, rates)
    best = int(scores.argmax())
    if scores[best] < _BETTER * scores[len(rates) // 2] or not 0 < best < len(rates) - 1:
        return 1.0
    left, middle, right = scores[best - 1 : best + 2]
    return float(rates[best] + _STEP * 0.5 * (left - right) / (left - 2 * middle + right))


def _matches(probe: np.ndarray, raw: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Return the probe's best mean cosine with the raw recording at each rate; every second frame counts."""
    rows = np.arange(0, len(probe), 2)
    likeness = probe[rows] @ raw.T
    reach = int(np.ceil(len(probe) * rates[-1]))
    n_places = len(raw) - reach
    if n_places < 1:
        return np.zeros(len(rates))
    result = np.empty(len(rates))
    for number, rate in enumerate(rates):
        total = np.zeros(n_places, np.float32)
        for row, shift in enumerate(np.rint(rows * rate).astype(int)):
            total += likeness[row, shift : shift + n_places]
        result[number] = total.max() / len(rows)
    return result


def fit_clock(runs: list[Run], edit: np.ndarray, raw: np.ndarray, block: int) -> Clock:
    """Measure drift within runs: lags of short passages against time, one slope for all runs.

    Args:
        runs: in frames.
        edit: float32 [T].
        raw: float32 [N].
        block: samples of a passage.

    Returns:
        The clock; its rate is that of the edit as it is given.
    """
    starts, lags, run_of, correlations = measured_lags(runs, edit, raw, block)
    if not len(starts):
        return Clock(coherence=0.0)
    known = np.abs(correlations) > CORRELATED
    coherence = float(np.median(np.abs(correlations)))
    polarity = -1 if coherence > CORRELATED and correlations[known].sum() < 0 else 1
    rate = _drift(starts[known], lags[known], run_of[known], _NO_DRIFT)
    return Clock(rate, polarity, coherence)


def measured_lags(
    runs: list[Run], edit: np.ndarray, raw: np.ndarray, block: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return start, exact lag, run, and correlation (negative: upside down) of passages that lie inside of runs."""
    starts, lags, run_of = _blocks(runs, block)
    found = [_local_lag(edit, raw, int(a), int(b), block) for a, b in zip(starts, lags, strict=True)]
    found = np.array(found).reshape(-1, 2)
    return starts, found[:, 0], run_of, found[:, 1]


def fit_frame_clock(runs: list[Run], edit: np.ndarray, raw: np.ndarray) -> float:
    """Measure drift within runs where waves tell nothing, by lags of passages of frames.

    Args:
        runs: in frames.
        edit: float32 [T, D], rows of length at most 1.
        raw: float32 [N, D], likewise.

    Returns:
        The rate of the edit as it is given.
    """
    starts, lags, run_of = [], [], []
    for number, run in enumerate(runs):
        for start in range(run.start, run.stop - _FRAME_BLOCK // 2, _FRAME_BLOCK):
            lag = frame_lag(run._replace(start=start, stop=min(start + _FRAME_BLOCK, run.stop)), edit, raw)
            if lag is not None:
                starts.append(start)
                lags.append(lag)
                run_of.append(number)
    return _drift(*map(np.array, (starts, lags, run_of)), 0.0)


def frame_lag(run: Run, edit: np.ndarray, raw: np.ndarray) -> float | None:
    """Return the lag of a run of frames at which frames are most alike, between whole ones too; None where unclear."""
    lag = round(run.lag)
    reach = np.arange(-_FRAME_REACH, _FRAME_REACH + 1)
    start = max(run.start, _FRAME_REACH - lag)
    stop = min(run.stop, len(edit), len(raw) - _FRAME_REACH - lag)
    if stop - start < _FRAME_REACH:
        return None
    own = edit[start:stop].ravel()
    alike = np.array([float(own @ raw[start + lag + d : stop + lag + d].ravel()) for d in reach])
    best = int(alike.argmax())
    if not 0 < best < len(reach) - 1:
        return None
    left, middle, right = alike[best - 1 : best + 2]
    return float(lag + reach[best] + 0.5 * (left - right) / min(left - 2 * middle + right, -1e-9))


def _drift(starts: np.ndarray, lags: np.ndarray, run_of: np.ndarray, least: float) -> float:
    """Return the rate that passages' lags tell, one slope for all runs; 1 below ``least`` over the longest distance."""
    a, b = np.triu_indices(len(starts), 1)
    same = run_of[a] == run_of[b]
    a, b = a[same], b[same]
    if len(a) < 3:
        return 1.0
    spans = (starts[b] - starts[a]).astype(float)
    slope = _weighted_median((lags[b] - lags[a]) / spans, spans)
    return 1.0 if abs(slope) * spans.max() < least else 1 + slope


def _blocks(runs: list[Run], block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return start, about the lag, and run of passages that lie inside of runs."""
    rows = [
        (start, round(run.lag * HOP), number)
        for number, run in enumerate(runs)
        for start in range(run.start * HOP + HOP, run.stop * HOP - HOP - block + 1, block)
    ]
    rows = rows[:: max(1, -(-len(rows) // _MOST_BLOCKS))]
    return tuple(np.array(rows, np.int64).reshape(-1, 3).T)


def _local_lag(edit: np.ndarray, raw: np.ndarray, start: int, lag: int, block: int) -> tuple[float, float]:
    """Return a passage's lag, and its correlation, which is negative where it is upside down."""
    wanted = passage(edit, start, start + block)
    [place], [correlation] = exact_lags(wanted, raw, [start + lag], HOP, either_sign=True)
    return place - start, correlation


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
