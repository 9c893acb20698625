"""Z-scoring per dimension with the statistics of the train frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soundgate.tracks.structure.sequences import TRAIN, Sequences

STD_FLOOR = 1e-6


@dataclass(frozen=True)
class Normaliser:
    """Subtract ``mean [D]``, divide by ``std [D]`` (never below ``STD_FLOOR``)."""

    mean: np.ndarray
    std: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return z-scores ``[n, D]`` in the precision of ``x``."""
        z = x - self.mean.astype(x.dtype)
        z /= self.std.astype(x.dtype)
        return z


def fit_normalisers(sequences: Sequences, history: int) -> tuple[Normaliser, Normaliser]:
    """Fit the normalisers of the frames x[t] and of the differences x[t] - x[t-1] on the valid train frames.

    Args:
        sequences: the frames.
        history: frames that must precede a frame in its utterance for it to count.

    Returns:
        The frames' and the differences' normaliser, float64. Two passes: mean first, then squared deviations.
    """
    valid = sequences.valid(history)
    means = _averages(sequences, valid, np.zeros(2 * sequences.dim), power=1)
    deviations = np.sqrt(_averages(sequences, valid, means, power=2))
    std = np.maximum(deviations, STD_FLOOR)
    d = sequences.dim
    return Normaliser(means[:d], std[:d]), Normaliser(means[d:], std[d:])


def _averages(sequences: Sequences, valid: np.ndarray, centre: np.ndarray, power: int) -> np.ndarray:
    """Return the train averages of (frame, difference) minus ``centre``, to a power, float64 ``[2 D]``."""
    total, n = np.zeros(2 * sequences.dim), 0
    for chunk in sequences.chunks((TRAIN,)):
        rows = np.flatnonzero(valid[chunk.frames()])
        x = chunk.x[rows].astype(np.float64)
        both = np.concatenate([x, x - chunk.x[rows - 1]], axis=1) - centre
        total += (both**power).sum(0)
        n += len(rows)
    return total / max(n, 1)
