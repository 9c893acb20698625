"""The linear floor: a ridge vector autoregression whose residual, the innovation, is what conditions must explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from soundgate.tracks.structure.moments import LaggedMoments

# How many tenfold steps the list of penalties may go on where its end is chosen.
MAX_STEPS = 3


@dataclass(frozen=True)
class VectorAutoregression:
    """z[t] is predicted as intercept + sum over j = 1..p of z[t-j] @ weight[j-1].

    Attributes:
        weight: float64 ``[p, D, D]``.
        intercept: float64 ``[D]``.
        ridge: the penalty of each output, relative to the mean predictor variance, ``[D]``; None where it is infinite
            (the train mean is the prediction).
    """

    weight: np.ndarray
    intercept: np.ndarray
    ridge: list[float | None]

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
    """Fit by ridge regression on moments, each output's penalty chosen by its squared error on held-out utterances.

    Args:
        fit: moments of the train frames, at lags 0..p.
        held: moments of the hold-out utterances, same lags; where it is empty (n = 0) the largest ridge is used.
        ridges: penalties to try, each times the mean variance of the predictors. Where an output chooses the smallest
            or the largest, the list goes on in that direction by tenfold steps, at most ``MAX_STEPS``; an infinite
            penalty is always tried. One penalty alone is used as it is.

    Returns:
        The model with the smallest held-out error of every output.

    Source: Hoerl & Kennard 1970, "Ridge regression".
    """
    p, dim = fit.total.shape[0] - 1, fit.total.shape[1]
    past = fit.covariance(range(1, p + 1))
    mean = fit.total / fit.n
    cross = _cross(fit) - np.outer(mean[1:].ravel(), mean[0])
    if held.n and len(ridges) > 1:
        ridge, weight = _chosen(past, cross, _moments_about(held, mean), ridges)
    else:
        ridge, weight = np.full(dim, max(ridges)), _solved(past, cross, max(ridges))
    intercept = mean[0] - mean[1:].ravel() @ weight
    named = [float(value) if np.isfinite(value) else None for value in ridge]
    return VectorAutoregression(weight.reshape(p, dim, dim), intercept, named)


def edge_share(model: VectorAutoregression, ridges: tuple[float, ...]) -> float:
    """Return the share of outputs whose penalty is the smallest or the largest finite one that can be tried."""
    low, high = min(ridges) / 10.0**MAX_STEPS, max(ridges) * 10.0**MAX_STEPS
    at = [r is not None and (r <= low * 1.001 or r >= high / 1.001) for r in model.ridge]
    return float(np.mean(at))


def _chosen(
    past: np.ndarray, cross: np.ndarray, held: tuple[np.ndarray, np.ndarray], ridges: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return each output's penalty ``[D]`` and weights ``[p D, D]``, smallest in held-out squared error."""
    error, ridge, weight = np.zeros(cross.shape[1]), np.full(cross.shape[1], np.inf), np.zeros_like(cross)

    def consider(penalty: float) -> None:
        candidate = _solved(past, cross, penalty)
        new = np.sum(candidate * (held[0] @ candidate - 2.0 * held[1]), axis=0)
        better = new < error
        error[better], ridge[better], weight[:, better] = new[better], penalty, candidate[:, better]

    for penalty in ridges:
        consider(penalty)
    for end, factor in ((min(ridges), 0.1), (max(ridges), 10.0)):
        penalty = end
        for _ in range(MAX_STEPS):
            # Above the list an output with an infinite penalty may do better with a large one.
            if not ((ridge == penalty).any() or (penalty == max(ridges) and np.isinf(ridge).any())):
                break
            penalty *= factor
            consider(penalty)
    return ridge, weight


def _solved(past: np.ndarray, cross: np.ndarray, ridge: float) -> np.ndarray:
    """Return the ridge regression's weights ``[p D, D]``."""
    penalised = past.copy(order="F")
    penalised.flat[:: len(past) + 1] += ridge * np.trace(past) / len(past)
    return cho_solve(cho_factor(penalised, overwrite_a=True, check_finite=False), cross, check_finite=False)


def _cross(moments: LaggedMoments) -> np.ndarray:
    """Return the average of past times present, ``[p D, D]``."""
    p, dim = moments.total.shape[0] - 1, moments.total.shape[1]
    return moments.product[1:, 0].reshape(p * dim, dim) / moments.n


def _moments_about(held: LaggedMoments, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return E[past past^T] and E[past present^T] of held-out frames about the train means ``[H + 1, D]``.

    The squared error of weights W is, up to a constant, the sum of W * (first @ W - 2 second), output by output.
    """
    p = held.total.shape[0] - 1
    offset = held.total / held.n
    m, h = mean[1:].ravel(), offset[1:].ravel()
    past = held.covariance(range(1, p + 1)) + np.outer(h - m, h - m)
    cross = _cross(held) - np.outer(m, offset[0]) - np.outer(h, mean[0]) + np.outer(m, mean[0])
    return past, cross
