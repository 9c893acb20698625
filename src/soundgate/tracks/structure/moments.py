"""Second moments of stacked lagged frames from per-lag products; the stacked windows never exist in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soundgate.tracks.structure.normaliser import Normaliser
from soundgate.tracks.structure.sequences import Chunk, Sequences


@dataclass
class LaggedMoments:
    """Sums over valid frames t of the stacked vector [z[t], z[t-1], ..., z[t-H]].

    Attributes:
        n: number of valid frames.
        total: sums of the lagged frames, float64 ``[H + 1, D]``.
        product: sums of outer products z[t-a] z[t-b]^T as blocks, float64 ``[H + 1, H + 1, D, D]``.
    """

    n: int
    total: np.ndarray
    product: np.ndarray

    def covariance(self, lags: range) -> np.ndarray:
        """Return the covariance of the frames at ``lags``, stacked, float64 ``[len(lags) * D] * 2``."""
        mean = self.total[lags.start : lags.stop].ravel() / self.n
        size = len(lags) * self.total.shape[1]
        block = self.product[lags.start : lags.stop, lags.start : lags.stop]
        return block.transpose(0, 2, 1, 3).reshape(size, size) / self.n - np.outer(mean, mean)


def lagged_moments(
    sequences: Sequences, normaliser: Normaliser, history: int, splits: tuple[int, ...]
) -> LaggedMoments:
    """Accumulate the moments of ``history + 1`` stacked frames over every valid frame of some splits.

    For each distance k one matrix product over all frames gives the block of lags (0, k). The block of lags
    (a, a + k) sums the same products over frames a earlier, so it differs by one frame at each end of each utterance.
    The cost is (history + 1) products of ``[n, D]`` instead of the (history + 1)^2 of stacked windows.

    Args:
        sequences: the frames; products are computed in their precision and summed in float64.
        normaliser: the z-scoring applied first.
        history: H, the largest lag.
        splits: which splits to sum over.

    Returns:
        The moments; ``n`` is 0 where no utterance is longer than ``history``.
    """
    depth, dim = history + 1, sequences.dim
    moments = LaggedMoments(0, np.zeros((depth, dim)), np.zeros((depth, depth, dim, dim)))
    for chunk in sequences.chunks(splits):
        _add_chunk(moments, chunk, normaliser(chunk.x), history)
    for k in range(1, depth):
        for a in range(depth - k):
            moments.product[a + k, a] = moments.product[a, a + k].T
    return moments


def _add_chunk(moments: LaggedMoments, chunk: Chunk, z: np.ndarray, history: int) -> None:
    keep = chunk.lengths > history
    first, end = chunk.starts[keep], chunk.starts[keep] + chunk.lengths[keep]
    if not len(first):
        return
    invalid = np.concatenate(
        [np.arange(s, s + min(history, n)) for s, n in zip(chunk.starts, chunk.lengths, strict=True)]
    )
    target = z.copy()
    target[invalid] = 0
    moments.n += len(z) - len(invalid)
    total = target.sum(0, dtype=np.float64)
    moments.total[0] += total
    for a in range(1, history + 1):
        total = total + z[first + history - a].sum(0, dtype=np.float64) - z[end - a].sum(0, dtype=np.float64)
        moments.total[a] += total
    for k in range(history + 1):
        block = (target[k:].T @ z[: len(z) - k]).astype(np.float64)
        moments.product[0, k] += block
        for a in range(1, history + 1 - k):
            block += z[first + history - a].T @ z[first + history - a - k]
            block -= z[end - a].T @ z[end - a - k]
            moments.product[a, a + k] += block
