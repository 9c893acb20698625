"""Prediction strength of clusterings whose answers are given."""

from __future__ import annotations

import numpy as np
import pytest

from soundgate.tracks.structure import stability
from soundgate.tracks.structure.stability import prediction_strength

OWN = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 3])
OTHER = np.array([4, 4, 2, 0, 0, 1, 1, 1, 0, 0])


class Given:
    """A clustering in place of k-means: the second half's own labels, and the first's opinion of it."""

    fitted: list[np.ndarray] = []

    def __init__(self, n_clusters, n_init, random_state):
        assert (n_clusters, n_init) == (4, 1)

    def fit(self, half):
        self.fitted.append(half)
        self.labels_ = OWN[: len(half)]
        return self

    def predict(self, half):
        np.testing.assert_array_equal(half, self.fitted[1])
        return OTHER[: len(half)]


def test_strength_is_the_share_of_a_clusters_pairs_that_the_other_half_keeps_together(monkeypatch):
    """Of 3 pairs one is kept, of 1 one, of 6 two; a cluster of one member has none."""
    monkeypatch.setattr(stability, "KMeans", Given)
    monkeypatch.setattr(Given, "fitted", [])
    features = np.arange(20.0)[:, None]
    found = prediction_strength(features, 4, np.random.default_rng(0))
    assert found == {"min": pytest.approx(1 / 3), "mean": pytest.approx((1 / 3 + 1 + 1 / 3) / 3)}
    first, second = Given.fitted
    assert len(first) == len(second) == 10
    np.testing.assert_array_equal(np.sort(np.concatenate([first, second]), axis=0), features)
    assert first.ravel().tolist() != sorted(first.ravel())


def test_clusters_that_are_there_are_found_again_and_noise_is_not():
    generator = np.random.default_rng(1)
    planted = generator.standard_normal((300, 2)) + 30 * generator.integers(0, 2, (300, 1))
    assert prediction_strength(planted, 2, generator) == {"min": 1, "mean": 1}
    assert prediction_strength(generator.random((300, 2)), 7, generator)["min"] < 0.8
