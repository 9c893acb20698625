"""Stretches of frames."""

from __future__ import annotations

import numpy as np


def runs_of(mask: np.ndarray) -> np.ndarray:
    """Return the runs of True, int64 [n, 2]: first and one past the last."""
    edges = np.diff(mask.astype(np.int8), prepend=0, append=0)
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1)


def between(spans: np.ndarray, n_frames: int) -> np.ndarray:
    """Return what lies between spans [n, 2] that rise and do not touch, int64 [m, 2]; none of it empty."""
    edges = np.concatenate([[0], np.ravel(spans), [n_frames]]).astype(np.int64).reshape(-1, 2)
    return edges[edges[:, 1] > edges[:, 0]]


def ramp(value: float, low: float, high: float) -> float:
    """Return 0 at ``low``, 1 at ``high``, between them on a line, beyond them limited; ``high`` may be the smaller."""
    return float(np.clip((value - low) / (high - low), 0, 1))
