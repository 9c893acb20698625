"""A clock that wanders: lags that change slowly over the edit, as a curve of straight lines."""

from __future__ import annotations

import numpy as np
import soxr
from scipy.ndimage import map_coordinates

from soundgate.tracks.editor.recovery.alignment import Run
from soundgate.tracks.editor.recovery.clock import CORRELATED, measured_lags

# Seconds between points of the curve, and of a passage whose lag is measured.
_POINT_S, _BLOCK = 4.0, 8_192
# The curve is followed from this many samples on, and where it leaves at most this share of what lags differed by.
_LEAST, _EXPLAINED = 0.5, 0.5
# Weights of bends and of the curve itself (of which runs' own lags take what is constant).
_SMOOTH, _SMALL = 0.3, 1e-3
_ROUNDS, _OUTLYING = 8, 1.0
_OVERSAMPLED = 2


def fit_wander(runs: list[Run], edit: np.ndarray, raw: np.ndarray, sample_rate: int) -> tuple[tuple[float, float], ...]:
    """Measure how lags within runs change over the edit: each run has its own, and all share one curve.

    Args:
        runs: in frames.
        edit: float32 [T].
        raw: float32 [N].
        sample_rate: Hz.

    Returns:
        Points (second, seconds late); none where lags do not change, or by no slow curve.
    """
    starts, lags, run_of, correlations = measured_lags(runs, edit, raw, _BLOCK)
    known = np.abs(correlations) > CORRELATED
    n_points = int(len(edit) / (_POINT_S * sample_rate)) + 2
    if known.sum() < 2 * n_points or n_points < 3:
        return ()
    place, run = (starts[known] + _BLOCK / 2) / len(edit) * (n_points - 1), run_of[known]
    lag = lags[known] - np.array([np.median(lags[known & (run_of == own)]) for own in run])
    cell = np.minimum(place.astype(int), n_points - 2)
    rows = np.arange(len(lag))
    model = np.zeros((len(lag), n_points + run_of.max() + 1))
    model[rows, cell], model[rows, cell + 1] = 1 - (place - cell), place - cell
    model[rows, n_points + run] = 1
    curve = _robust(model, lag, n_points)
    left = np.abs(lag - model @ curve)
    if np.median(left) > _EXPLAINED * np.median(np.abs(lag)) or np.ptp(curve[:n_points]) < _LEAST:
        return ()
    seconds = np.linspace(0, len(edit) / sample_rate, n_points)
    late = (curve[:n_points] - curve[0]) / sample_rate
    return tuple(zip(seconds.tolist(), late.tolist(), strict=True))


def _robust(model: np.ndarray, lag: np.ndarray, n_points: int) -> np.ndarray:
    """Solve for points and runs' lags by least squares, in which outlying lags weigh less from round to round."""
    bends = np.zeros((n_points - 2, model.shape[1]))
    bends[:, :n_points] = _SMOOTH * np.diff(np.eye(n_points), 2, axis=0)
    regular, zeros = np.vstack([bends, _SMALL * np.eye(model.shape[1])]), np.zeros(n_points - 2 + model.shape[1])
    weight = np.ones(len(lag))
    for _ in range(_ROUNDS):
        rows = np.vstack([weight[:, None] * model, regular])
        curve = np.linalg.lstsq(rows, np.concatenate([weight * lag, zeros]), rcond=None)[0]
        weight = 1 / np.maximum(np.abs(lag - model @ curve) / _OUTLYING, 1)
    return curve


def without_wander(edit: np.ndarray, wander: tuple[tuple[float, float], ...], sample_rate: int) -> np.ndarray:
    """Return an edit [T] as if its clock had not wandered, by cubic splines of twice as many samples."""
    if not wander:
        return edit
    seconds, late = np.array(wander).T
    given = np.arange(len(edit)) / sample_rate
    place = np.interp(given, seconds + late, seconds)
    dense = soxr.resample(edit, 1.0, _OVERSAMPLED, quality="HQ").astype(np.float32)
    at = place * sample_rate * _OVERSAMPLED
    return map_coordinates(dense, [at], np.float32, order=3, mode="nearest")
