"""How far genre and source are one and the same in a corpus, whatever any model makes of it."""

from __future__ import annotations

import numpy as np
from scipy.stats import entropy
from scipy.stats.contingency import association, crosstab
from sklearn.metrics import mutual_info_score, normalized_mutual_info_score


def confounding(genre: np.ndarray, source: np.ndarray) -> dict:
    """Measure the association of genre and source.

    Args:
        genre: [n] labels of independent tracks.
        source: [n].

    Returns:
        ``answerable`` and, where it is, ``cramers_v`` in [0, 1]; ``cramers_v_corrected``, about 0 for independent
        labels also in small tables; ``normalised_mutual_information`` in [0, 1] (over the mean of the entropies);
        ``genre_explained_by_source`` in [0, 1], the share of the genre's entropy that the source takes away: 1
        where each source plays a single genre. Where it is not, ``reason``.

    Source: Cramér 1946; Bergsma 2013 (correction); Theil 1970 (uncertainty coefficient).
    """
    genre, source = np.asarray(genre).astype(str), np.asarray(source).astype(str)
    n_genres, n_sources = len(np.unique(genre)), len(np.unique(source))
    if n_genres < 2 or n_sources < 2:
        reason = f"{n_genres} genres and {n_sources} sources: association needs two of each"
        return {"answerable": False, "reason": reason}
    counts = crosstab(genre, source).count
    v = float(association(counts, method="cramer"))
    genre_entropy = float(entropy(counts.sum(axis=1)))
    return {
        "answerable": True,
        "cramers_v": v,
        "cramers_v_corrected": _corrected(v, counts),
        "normalised_mutual_information": float(normalized_mutual_info_score(genre, source)),
        "genre_explained_by_source": float(mutual_info_score(genre, source)) / genre_entropy,
    }


def _corrected(v: float, counts: np.ndarray) -> float:
    n, (rows, columns) = counts.sum(), counts.shape
    phi_squared = v**2 * (min(rows, columns) - 1)
    unbiased = max(0.0, phi_squared - (rows - 1) * (columns - 1) / (n - 1))
    smaller = min(size - (size - 1) ** 2 / (n - 1) for size in (rows, columns))
    # As many sources as tracks: the correction has nothing left to divide by.
    return float(min(1.0, np.sqrt(unbiased / (smaller - 1)))) if smaller > 1 else 0.0
