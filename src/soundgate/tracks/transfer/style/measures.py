"""What Lab 2 is judged by: styles apart, styles tight, styles stable."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import silhouette_samples

from soundgate.evaluation.gates import gated
from soundgate.evaluation.groups import group_mean
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.style.targets import StyleSettings, StyleTargets
from soundgate.tracks.transfer.style.vectors import centroid

STAGE = "transfer-style"
SUBSET = 0.2
N_NEIGHBOURS = 5


def measure_style(settings: StyleSettings, cache: ChunkCache, targets: StyleTargets, seed: int) -> dict:
    """Measure Lab 2: geometry on the test rows, stability over fifths of the train tracks.

    Returns:
        ``gates`` (see `soundgate.evaluation.gates.gated`) and the table of centroid cosines.
    """
    generator = keyed_generator(seed, STAGE, "bootstrap")
    test = cache.rows("test")
    codes = cache.index["genre_code"].to_numpy()
    own, own_codes = targets.targets[test], codes[test]
    distances = np.linalg.norm(own[:, None] - targets.centroids[None], axis=-1)
    spread = [distances[own_codes == code, code].mean() for code in sorted(set(own_codes))]
    apart = np.linalg.norm(targets.centroids[:, None] - targets.centroids[None], axis=-1)
    nearest_pair = apart[~np.eye(len(apart), dtype=bool)].min()
    silhouette, shuffled = _silhouettes(own, own_codes, generator)
    estimate = group_mean(silhouette, cache.index["group"].to_numpy()[test], generator, settings.n_bootstrap)
    stability = _stability(settings, cache, targets, seed)
    return {
        "gates": {
            "silhouette": gated(estimate, "above", 0.45, control=shuffled),
            "centroid_distance": gated(float(nearest_pair / max([*spread, 1e-6])), "above", 3.0, control=1.0),
            "neighbours": gated(
                _neighbours(own, own_codes, targets.centroids), "above", 1.0, control=_share(own_codes)
            ),
            "stability": gated(stability, "above", 0.95),
        },
        "dim": targets.dim,
        "nearest_centroids_distance": float(nearest_pair),
        "largest_spread": float(max(spread)),
        "centroid_cosines": pd.DataFrame(
            targets.centroids @ targets.centroids.T, targets.genres, targets.genres
        ).to_dict(),
    }


def _silhouettes(own: np.ndarray, codes: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, float | None]:
    """Return each item's silhouette, and the mean one with the genres shuffled."""
    if len(set(codes)) < 2 or len(codes) <= len(set(codes)):
        return np.full(len(codes), np.nan), None
    return silhouette_samples(own, codes), float(silhouette_samples(own, generator.permutation(codes)).mean())


def _neighbours(own: np.ndarray, codes: np.ndarray, centroids: np.ndarray) -> float:
    """Return the share of each centroid's five nearest test items that are of its genre."""
    shares = []
    for code in sorted(set(codes)):
        nearest = np.argsort(-(own @ centroids[code]))[: min(N_NEIGHBOURS, int((codes == code).sum()))]
        shares.append((codes[nearest] == code).mean())
    return float(np.mean(shares))


def _share(codes: np.ndarray) -> float:
    return float(np.bincount(codes).max() / len(codes))


def _stability(settings: StyleSettings, cache: ChunkCache, targets: StyleTargets, seed: int) -> float:
    """Return the smallest over genres of the mean cosine between its centroid and those of fifths of its tracks."""
    tracks = cache.index["track_id"].to_numpy()
    cosines = []
    for code, rows in enumerate(targets.train_rows):
        names = np.unique(tracks[rows])
        own = []
        for subset in range(settings.n_subsets):
            generator = keyed_generator(seed, STAGE, f"subset {code} {subset}")
            chosen = generator.permutation(names)[: max(1, round(SUBSET * len(names)))]
            part = centroid(targets.targets[rows[np.isin(tracks[rows], chosen)]], settings.inlier_fraction)
            own.append(part @ targets.centroids[code])
        cosines.append(np.mean(own))
    return float(min(cosines))
