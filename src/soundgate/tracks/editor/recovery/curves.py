"""Gain curves of fades by waves, whatever their shape: straight lines between many points."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from soundgate.tracks.editor.edit_list import MAX_GAIN, EditList, Segment
from soundgate.tracks.editor.rendering import pieces_of

_POINT_S = 0.05
_FEWEST, _MOST = 8, 64
# Weight of the curve's bends, relative to the mean energy between two points: they decide where there is silence.
_SMOOTH = 1e-4
# At both ends of a segment as much belongs to its joins.
_JOIN_S = 0.01


def with_curves(edit_list: EditList, raw: np.ndarray, edit: np.ndarray) -> EditList:
    """Fit the gains of a list's fades anew, by least squares of waves.

    A curve of up to 64 straight lines follows linear, equal-power and exponential fades alike. It is taken where it
    leaves less than the one before.

    Args:
        edit_list: of the raw recording.
        raw: mono float32 [N] at the list's rate.
        edit: mono float32 [T] by its clock.
    """
    segments = []
    for piece in pieces_of(edit_list):
        segment, own = piece.segment, edit[piece.position : piece.stop]
        if segment.label in ("FADE_IN", "FADE_OUT") and len(own) == segment.length:
            segment = _fitted(segment, raw[segment.start : segment.stop], own, edit_list.sample_rate)
        if segment.label != "LOOP" or not segments or segments[-1] is not segment:
            segments.append(segment)
    return edit_list.model_copy(update={"segments": tuple(segments)})


def _fitted(segment: Segment, source: np.ndarray, own: np.ndarray, sample_rate: int) -> Segment:
    """Return a segment with the curve that fits best, or as it is."""
    n_points = int(np.clip(segment.length / (_POINT_S * sample_rate), _FEWEST, _MOST)) + 1
    position = (np.arange(segment.length) + 0.5) / segment.length
    alone = min(round(_JOIN_S * sample_rate), segment.length // 4)
    inside = slice(alone, segment.length - alone)
    source, own, position = source[inside], own[inside], position[inside]
    gains = _curve(source, own, position, n_points)
    if segment.label == "FADE_IN":
        gains = np.maximum.accumulate(gains)
    elif segment.label == "FADE_OUT":
        gains = np.maximum.accumulate(gains[::-1])[::-1]
    points = np.linspace(0, 1, n_points)
    left = [
        float(np.square(own - source * np.interp(position, *curve)).sum())
        for curve in ((points, gains), tuple(zip(*segment.gain, strict=True)))
    ]
    if left[0] >= left[1]:
        return segment
    return segment.model_copy(update={"gain": tuple(zip(points.tolist(), gains.tolist(), strict=True))})


def _curve(source: np.ndarray, own: np.ndarray, position: np.ndarray, n_points: int) -> np.ndarray:
    """Return the gains at evenly spaced points, joined by straight lines, that make the source most like the edit."""
    place = position * (n_points - 1)
    cell = np.minimum(place.astype(int), n_points - 2)
    right = place - cell
    energy, product = np.square(source, dtype=np.float64), source * own.astype(np.float64)
    left = 1 - right
    weights = energy * left**2, energy * right**2, energy * right * left, product * left, product * right
    sums = [np.bincount(cell, weights=weight, minlength=n_points) for weight in weights]
    bands = np.zeros((3, n_points))
    bands[2] = sums[0] + np.roll(sums[1], 1)
    bands[1, 1:] = sums[2][:-1]
    wanted = sums[3] + np.roll(sums[4], 1)
    # Second differences: 1 -2 1 at every inner point.
    weight = _SMOOTH * max(float(energy.sum()) / n_points, 1e-12)
    bend = np.diff(np.eye(n_points), 2, axis=0)
    bends = weight * bend.T @ bend
    for above in range(3):
        bands[2 - above, above:] += np.diagonal(bends, above)
    return np.clip(solveh_banded(bands, wanted), 0.0, MAX_GAIN)
