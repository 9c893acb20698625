"""Features of the context window that ends at each frame: its mean and its principal components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import eigsh

from soundgate.tracks.structure.moments import LaggedMoments


@dataclass(frozen=True)
class WindowPca:
    """Principal components of flattened windows.

    Attributes:
        components: float64 ``[W, D, n_components]``; index 0 along W is the window's last frame.
        mean: float64 ``[W, D]``.
        explained: share of the windows' variance each component explains, ``[n_components]``.
    """

    components: np.ndarray
    mean: np.ndarray
    explained: np.ndarray


def window_pca(moments: LaggedMoments, lag: int, window: int, n_components: int) -> WindowPca:
    """Return the leading principal components of the flattened window that ends ``lag`` frames before the target.

    Args:
        moments: moments of the stacked frames at lags 0 and up.
        lag: of the window's last frame.
        window: W, frames.
        n_components: how many.

    Returns:
        The components, each with its largest entry positive.
    """
    covariance = moments.covariance(range(lag, lag + window))
    start = np.ones(len(covariance))
    if n_components < len(covariance) - 1:
        values, vectors = eigsh(covariance, k=n_components, v0=start)
    else:
        values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(values)[::-1][:n_components]
    values, vectors = values[order], vectors[:, order]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])])
    dim = moments.total.shape[1]
    mean = moments.total[lag : lag + window] / moments.n
    return WindowPca(vectors.reshape(window, dim, -1), mean, values / np.trace(covariance))


def window_means(z: np.ndarray, window: int) -> np.ndarray:
    """Return the mean of z[t-W+1..t] for each t, ``[n, D]``; rows with t < W - 1 are partial and not to be used."""
    means = np.zeros_like(z)
    for i in range(min(window, len(z))):
        means[i:] += z[: len(z) - i]
    means /= window
    return means


def projections(z: np.ndarray, pca: WindowPca) -> np.ndarray:
    """Return the principal components of the flattened window z[t-W+1..t] for each t.

    Args:
        z: consecutive frames ``[n, D]``.
        pca: components ``[W, D, C]``, index 0 the window's last frame.

    Returns:
        ``[n, C]``; rows with t < W - 1 are partial and not to be used. One product with all W * C columns, then W
        shifted sums.
    """
    window, dim, n_components = pca.components.shape
    columns = pca.components.transpose(1, 0, 2).reshape(dim, window * n_components).astype(z.dtype)
    each = (z @ columns).reshape(len(z), window, n_components)
    offset = np.einsum("wd,wdc->c", pca.mean, pca.components)
    projected = np.broadcast_to(-offset.astype(z.dtype), (len(z), n_components)).copy()
    for i in range(min(window, len(z))):
        projected[i:] += each[: len(z) - i, i]
    return projected
