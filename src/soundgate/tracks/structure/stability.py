"""Are the clusters there at all: prediction strength of k-means on two halves."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans


def prediction_strength(features: np.ndarray, n_clusters: int, generator: np.random.Generator) -> dict[str, float]:
    """Cluster two random halves and ask how many pairs of one half's clusters the other half keeps together.

    Args:
        features: ``[n, d]``.
        n_clusters: K.
        generator: for the halves and the fits.

    Returns:
        The smallest, as published, and the mean strength over the test half's clusters with at least two members,
        each in [0, 1]; clusters that are there score above about 0.8.

    Source: Tibshirani & Walther 2005, "Cluster validation by prediction strength", eq. 2.1.
    """
    order = generator.permutation(len(features))
    halves = features[order[::2]], features[order[1::2]]
    states = generator.integers(2**31, size=2)
    models = [KMeans(n_clusters, n_init=1, random_state=int(s)).fit(h) for s, h in zip(states, halves, strict=True)]
    own, other = models[1].labels_, models[0].predict(halves[1])
    strengths = []
    for cluster in range(n_clusters):
        counts = np.bincount(other[own == cluster])
        size = counts.sum()
        if size >= 2:
            strengths.append(float((counts * (counts - 1)).sum() / (size * (size - 1))))
    return {"min": min(strengths), "mean": float(np.mean(strengths))}
