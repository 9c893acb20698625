"""Vectors that say how items and genres sound, and the conditions drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Mode = Literal["centroid", "exemplar", "mix"]


@dataclass(frozen=True)
class StyleVectors:
    """Unit vectors of a cache's items and of the genres.

    Args:
        targets: float32 [N, D]; NaN for what is not music.
        centroids: float32 [G, D], unit length.
        genres: names by code.
        train_rows: by genre code, the rows exemplars are drawn from.
        exemplar_noise: standard deviation added to each coordinate of an exemplar.
    """

    targets: np.ndarray
    centroids: np.ndarray
    genres: list[str]
    train_rows: list[np.ndarray]
    exemplar_noise: float

    @property
    def dim(self) -> int:
        """Width D of a vector."""
        return self.centroids.shape[1]

    def condition(self, mode: Mode, codes: np.ndarray, alpha: float, generator: np.random.Generator) -> np.ndarray:
        """Draw the conditions that ask for genres.

        Equal generators draw the same exemplars from vectors of another kind of the same items.

        Args:
            mode: ``centroid``, ``exemplar`` (a train item of the genre, with a little noise) or ``mix``.
            codes: int [B], genres.
            alpha: the centroid's share in a mix.
            generator: of the draws.

        Returns:
            float32 [B, D] of unit length.
        """
        centroids = self.centroids[codes]
        if mode == "centroid":
            return centroids
        rows = np.array([generator.choice(self.train_rows[code]) for code in codes])
        noise = self.exemplar_noise * generator.standard_normal(centroids.shape)
        exemplars = unit(self.targets[rows] + noise)
        return (exemplars if mode == "exemplar" else unit(alpha * centroids + (1 - alpha) * exemplars)).astype("f4")


def unit(values: np.ndarray) -> np.ndarray:
    """Return rows of unit length."""
    return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)


def centroid(targets: np.ndarray, inlier_fraction: float = 1.0) -> np.ndarray:
    """Return the unit mean [D] of unit vectors [n, D], made of those nearest to the mean of all."""
    mean = unit(targets.mean(0))
    nearest = np.argsort(-(targets @ mean))[: max(1, round(inlier_fraction * len(targets)))]
    return unit(targets[nearest].mean(0))
