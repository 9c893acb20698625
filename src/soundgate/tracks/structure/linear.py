"""The linear floor: a ridge vector autoregression whose residual, the innovation, is what conditions must explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from soundgate.tracks.structure.moments import LaggedMoments


@dataclass(frozen=True)
class VectorAutoregression:
    """z[t] is predicted as intercept + sum over j = 1..p of z[t-j] @ weight[j-1].

    Attributes:
        weight: float64 ``[p, D, D]``.
        intercept: float64 ``[D]``.
        ridge: the penalty chosen, relative to the mean predictor variance.
    """

    weight: np.ndarray
    intercept: np.ndarray
    ridge: float

    @property
    def order(self) -> int:
        """Number of past frames used."""
        return len(self.weight)

    def innovation(self, z: np.ndarray) -> np.ndarray:
        """Return z[t] minus its prediction for consecutive frames ``[n, D]``; the first ``order`` rows are NaN.

        Rows whose past reaches into another utterance are meaningless; callers select valid frames.
        """
        residual = np.full_like(z, np.nan)
        p = self.order
        if len(z) > p:
            residual[p:] = z[p:] - self.intercept.astype(z.dtype)
            for j in range(1, p + 1):
                residual[p:] -= z[p - j : len(z) - j] @ self.weight[j - 1].astype(z.dtype)
        return residual


def fit_autoregression(fit: LaggedMoments, held: LaggedMoments, ridges: tuple[float, ...]) -> VectorAutoregression:
    """Fit by ridge regression on moments, the penalty chosen by squared error on held-out utterances.

    Args:
        fit: moments of the train frames, at lags 0..p.
        held: moments of the hold-out utterances, same lags; where it is empty (n = 0) the largest ridge is used.
        ridges: penalties to try, each times the mean variance of the predictors.

    Returns:
        The model with the smallest held-out error.

    Source: Hoerl & Kennard 1970, "Ridge regression".
    """
    p, dim = fit.total.shape[0] - 1, fit.total.shape[1]
    past = fit.covariance(range(1, p + 1))
    mean = fit.total / fit.n
    cross = _cross(fit) - np.outer(mean[1:].ravel(), mean[0])
    scale = np.trace(past) / len(past)
    held_past, held_cross = _moments_about(held, mean) if held.n else (None, None)
    best: tuple[float, float, np.ndarray] | None = None
    for ridge in ridges if held.n else (max(ridges),):
        penalised = past.copy(order="F")
        penalised.flat[:: len(past) + 1] += ridge * scale
        weight = cho_solve(cho_factor(penalised, overwrite_a=True, check_finite=False), cross, check_finite=False)
        error = np.sum(weight * (held_past @ weight - 2.0 * held_cross)) if held.n else 0.0
        if best is None or error < best[0]:
            best = (error, ridge, weight)
    _, ridge, weight = best
    intercept = mean[0] - mean[1:].ravel() @ weight
    return VectorAutoregression(weight.reshape(p, dim, dim), intercept, ridge)


def _cross(moments: LaggedMoments) -> np.ndarray:
    """Return the average of past times present, ``[p D, D]``."""
    p, dim = moments.total.shape[0] - 1, moments.total.shape[1]
    return moments.product[1:, 0].reshape(p * dim, dim) / moments.n


def _moments_about(held: LaggedMoments, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return E[past past^T] and E[past present^T] of held-out frames about the train means ``[H + 1, D]``.

    The squared error of weights W is, up to a constant, the sum of W * (first @ W - 2 second).
    """
    p = held.total.shape[0] - 1
    offset = held.total / held.n
    m, h = mean[1:].ravel(), offset[1:].ravel()
    past = held.covariance(range(1, p + 1)) + np.outer(h - m, h - m)
    cross = _cross(held) - np.outer(m, offset[0]) - np.outer(h, mean[0]) + np.outer(m, mean[0])
    return past, cross
