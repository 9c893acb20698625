"""Sufficient statistics of targets inside the cells of a condition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array


@dataclass
class CellStatistics:
    """Counts and sums of one target inside each cell.

    Attributes:
        count: frames, float64 ``[K]``.
        total: sums, float64 ``[K, D]``.
        energy: sum of squares over all cells and dimensions.
        square: sums of squares, float64 ``[K, D]``; None where only the energy is kept.
    """

    count: np.ndarray
    total: np.ndarray
    energy: float
    square: np.ndarray | None

    @classmethod
    def empty(cls, n_cells: int, dim: int, squares: bool) -> CellStatistics:
        """Return statistics of no frames, with or without squares by cell and dimension."""
        return cls(np.zeros(n_cells), np.zeros((n_cells, dim)), 0.0, np.zeros((n_cells, dim)) if squares else None)

    def add(self, ids: np.ndarray, y: np.ndarray) -> None:
        """Add frames: cells int ``[n]`` and targets ``[n, D]``; summed in their precision, then in float64."""
        members = membership(ids, len(self.count), y.dtype)
        self.count += np.bincount(ids, minlength=len(self.count))
        self.total += members @ y
        self.energy += float(np.einsum("nd,nd->", y, y, dtype=np.float64))
        if self.square is not None:
            self.square += members @ np.square(y)

    def sse_within(self) -> float:
        """Return the squared error around the cells' own means, summed over cells and dimensions."""
        means_energy = np.einsum("kd,kd->k", self.total, self.total) / np.maximum(self.count, 1)
        return self.energy - float(means_energy.sum())

    def sse_total(self) -> float:
        """Return the squared error around the mean of all frames held."""
        return self.energy - float(np.square(self.total.sum(0)).sum() / max(self.count.sum(), 1))


def membership(ids: np.ndarray, n_cells: int, dtype: np.dtype) -> csc_array:
    """Return the 0/1 matrix ``[n_cells, n]`` whose product with ``[n, D]`` sums rows by cell."""
    return csc_array((np.ones(len(ids), dtype), ids, np.arange(len(ids) + 1)), shape=(n_cells, len(ids)))


def shrunk_means(count: np.ndarray, total: np.ndarray, sse_within: float) -> np.ndarray:
    """Return cell means pulled to the overall mean by n / (n + lambda), lambda estimated from the same frames.

    lambda is the within-cell variance over the variance of the true cell means, pooled over dimensions, both by the
    method of moments of one-way analysis of variance with unequal cells; no variance between cells left means
    lambda = infinity and every cell gets the overall mean.

    Args:
        count: frames in each cell ``[K]``.
        total: sums ``[K, D]``.
        sse_within: squared error around the cells' own means over all dimensions.

    Returns:
        ``[K, D]``; empty cells hold the overall mean.

    Source: Efron & Morris 1973; variance components after Searle 1971, one-way random model.
    """
    n = count.sum()
    overall = total.sum(0) / n
    filled = count > 0
    deviation = total[filled] / count[filled, None] - overall
    n_filled = filled.sum()
    means = np.tile(overall, (len(count), 1))
    if n_filled < 2 or n <= n_filled:
        return means
    within = sse_within / (n - n_filled)
    between = np.einsum("k,kd,kd->", count[filled], deviation, deviation) - (n_filled - 1) * within
    between /= n - np.square(count).sum() / n
    if between > 0:
        weight = count[filled] / (count[filled] + within / between)
        deviation *= weight[:, None]
        means[filled] += deviation
    return means
