"""Labels by k-means over target vectors: styles that the audio itself falls into."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.transfer.labels.settings import ClusterSettings

STAGE = "transfer-labels"
UNASSIGNED = -1


class Clusters(NamedTuple):
    """Where k-means put the tracks.

    Args:
        labels: int64 [n], clusters from the largest on (ties: the one whose first track comes first); -1 for a
            track of a cluster that is too small.
        confidence: float64 [n] in [0, 1], see `cluster_vectors`.
        sizes: tracks of each cluster before small ones were dealt with, largest first.
    """

    labels: np.ndarray
    confidence: np.ndarray
    sizes: list[int]


def target_vectors(descriptor: np.ndarray, style: np.ndarray | None) -> np.ndarray:
    """Return target160, or the descriptor alone where there is no style.

    Args:
        descriptor: [n, 32] dB; z-scored over the tracks here.
        style: [n, 128], Lab 1's.

    Returns:
        float64 [n, 160] or [n, 32], rows of unit length.

    Differs: each block has unit length before they are joined; otherwise the descriptor, of norm √32 against 1,
        would decide alone.
    """
    deviations = descriptor - descriptor.mean(axis=0)
    scores = deviations / np.maximum(descriptor.std(axis=0), 1e-6)
    blocks = [_unit(scores)] if style is None else [_unit(style), _unit(scores)]
    return _unit(np.concatenate(blocks, axis=1).astype(np.float64))


def cluster_vectors(vectors: np.ndarray, settings: ClusterSettings, seed: int) -> Clusters:
    """Put vectors into clusters by k-means with ten starts.

    Args:
        vectors: [n, D], rows of unit length.
        settings: see `ClusterSettings`.
        seed: of the starts.

    Returns:
        The clusters. Confidence is the relative margin 1 - d₁ / d₂ of the distances to the track's own centre
        and to the nearest other one: 1 on the centre, 0 half way to the next (or beyond, after a merge).

    Raises:
        CorpusError: fewer different vectors than clusters, or a cluster is too small and the policy is abort,
            or all are too small.
    """
    n_different = len(np.unique(vectors, axis=0))
    if n_different < settings.n_clusters:
        found = f"{n_different} different ones"
        raise CorpusError("transfer.labels.cluster", expected=f"at least {settings.n_clusters} tracks", found=found)
    # One thread: sums in another order would move centres.
    with threadpool_limits(1):
        means = KMeans(settings.n_clusters, n_init=10, random_state=keyed_seed(seed, STAGE, "clusters")).fit(vectors)
    labels = _largest_first(means.labels_)
    sizes = np.bincount(labels).tolist()
    if max(sizes) < settings.min_size or (settings.small == "abort" and min(sizes) < settings.min_size):
        raise CorpusError(
            "transfer.labels.cluster",
            expected=f"clusters of at least {settings.min_size} tracks",
            found=f"sizes {', '.join(map(str, sizes))}",
            remedy="Ask for fewer clusters, lower min_size, or set small to unassigned or merge.",
        )
    if settings.small == "merge":
        labels = _largest_first(_merged(vectors, labels, settings.min_size))
    else:
        labels = np.where(np.array(sizes)[labels] < settings.min_size, UNASSIGNED, labels)
    return Clusters(labels, _margins(vectors, labels), sizes)


def _largest_first(labels: np.ndarray) -> np.ndarray:
    names, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    return place[np.searchsorted(names, labels)]


def _merged(vectors: np.ndarray, labels: np.ndarray, min_size: int) -> np.ndarray:
    """Dissolve clusters into the one whose centre is nearest, the smallest first, until none is too small."""
    labels = labels.copy()
    while True:
        names, sizes = np.unique(labels, return_counts=True)
        if sizes.min() >= min_size or len(names) == 1:
            return labels
        centres = np.stack([vectors[labels == name].mean(axis=0) for name in names])
        smallest = sizes.argmin()
        distances = np.linalg.norm(centres - centres[smallest], axis=1)
        distances[smallest] = np.inf
        labels[labels == names[smallest]] = names[distances.argmin()]


def _margins(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    names = np.unique(labels[labels != UNASSIGNED])
    assigned = np.flatnonzero(labels != UNASSIGNED)
    margins = np.zeros(len(labels))
    if len(names) == 1:
        margins[assigned] = 1.0
        return margins
    centres = np.stack([vectors[labels == name].mean(axis=0) for name in names])
    distances = np.linalg.norm(vectors[assigned, None] - centres[None], axis=-1)
    own = np.searchsorted(names, labels[assigned])
    mine = distances[np.arange(len(assigned)), own]
    distances[np.arange(len(assigned)), own] = np.inf
    margins[assigned] = np.clip(1 - mine / np.maximum(distances.min(axis=1), 1e-12), 0, 1)
    return margins


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
