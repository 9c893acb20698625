"""Does a model copy what it was trained on? The training item that plays most nearly the same, against its source."""

from __future__ import annotations

import numpy as np

# Cosine of the held-out judge's content from which two clips play the same.
SAME_MUSIC = 0.8


def copied(outputs: np.ndarray, sources: np.ndarray, training: np.ndarray, same_genre: np.ndarray) -> np.ndarray:
    """Return for each output whether a training item of its target genre plays the same and its source less so.

    Args:
        outputs: content of the outputs, unit vectors [n, E].
        sources: content of their sources, [n, E].
        training: content of the training items, [m, E].
        same_genre: bool [n, m]: which training items are of the output's target genre.

    Returns:
        bool [n].
    """
    nearest = np.where(same_genre, outputs @ training.T, -1.0).max(axis=1)
    return nearest > np.maximum(SAME_MUSIC, (outputs * sources).sum(axis=1))
