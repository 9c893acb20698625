"""Keys that a memory would use: hashed n-grams of frame codes, and a quantiser trained to tell innovations apart."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.cluster import KMeans
from sklearn.neural_network import MLPRegressor

from soundgate.runtime.randomness import keyed_generator

# Directions of the innovation that the supervised quantiser learns to predict, and of its prediction that it quantises:
# a few hundred cells resolve no more, and the others are mostly what it learned of noise.
TARGET_DIMS = 16
PREDICTED_DIMS = 3
EPOCHS = 20
PATIENCE = 5
BATCH_SIZE = 128
# Standard errors that a prediction must share with held-out targets.
SURE = 3.0
LEARNING_RATE = 3e-3
WEIGHT_PENALTY = 1.0


def nearest_centroids(features: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how sure each row is of its nearest centroid, and which it is, by one matrix product.

    Args:
        features: ``[n, d]``.
        centroids: ``[K, d]``, K >= 2.

    Returns:
        1 - d1/d2 with d1, d2 the distances to the nearest and second nearest, and the index of the nearest; ``[n]``.
    """
    centroids = centroids.astype(features.dtype)
    squared = (centroids**2).sum(1) - 2.0 * (features @ centroids.T)
    ids = squared.argmin(1)
    two = np.partition(squared, 1, axis=1)[:, :2] + (features**2).sum(1, keepdims=True)
    near, far = np.sqrt(np.maximum(two, 0)).T
    return 1.0 - near / np.maximum(far, np.finfo(near.dtype).tiny), ids


@dataclass(frozen=True)
class NgramHash:
    """The n-gram of frame codes that ends a context, hashed into a table of several heads.

    Attributes:
        codebook: codes' frames ``[C, D]``.
        multipliers: odd uint64 ``[heads, order]``, of the hash of each head.
        counts: train n-grams in each bucket of each head, int64 ``[heads, buckets]``.

    Source: Engram (multi-head hashing of suffix n-grams: multiply, exclusive or, modulo the table).
    Differs: frames are coded by k-means on train frames, which is what a codec's first codebook is. A frame must lie in
        one cell, so that the head whose bucket holds fewest train n-grams is read (the count-min sketch of Cormode &
        Muthukrishnan 2005) instead of the sum of all heads' entries.
    """

    codebook: np.ndarray
    multipliers: np.ndarray
    counts: np.ndarray

    @classmethod
    def fit(cls, stacked: np.ndarray, n_codes: int, n_cells: int, n_heads: int, seed: int) -> Self:
        """Fit the codebook and count n-grams.

        Args:
            stacked: the last ``order`` frames of each context, the last one first, ``[n, order, D]``.
            n_codes: entries of the codebook.
            n_cells: of the whole table; each head has an equal part.
            n_heads: hash functions.
            seed: of k-means.
        """
        last = stacked[:, 0]
        codebook = KMeans(min(n_codes, len(last)), n_init=1, random_state=seed).fit(last).cluster_centers_
        draw = keyed_generator(0, "structure-conditioning", "n-gram hash")
        multipliers = draw.integers(2**63, size=(n_heads, stacked.shape[1]), dtype=np.uint64) * 2 + 1
        empty = cls(codebook, multipliers, np.zeros((n_heads, n_cells // n_heads), np.int64))
        codes = np.stack([empty.codes(stacked[:, j]) for j in range(stacked.shape[1])], axis=1)
        buckets = empty.buckets(codes)
        counts = np.stack([np.bincount(row, minlength=empty.counts.shape[1]) for row in buckets])
        return cls(codebook, multipliers, counts)

    def codes(self, z: np.ndarray) -> np.ndarray:
        """Return the code of each frame ``[n]``."""
        return nearest_centroids(z, self.codebook)[1]

    def buckets(self, ngrams: np.ndarray) -> np.ndarray:
        """Return each head's bucket of n-grams of codes ``[n, order]``, int64 ``[heads, n]``."""
        mixed = np.bitwise_xor.reduce((ngrams.astype(np.uint64) + 1) * self.multipliers[:, None, :], axis=2)
        return ((mixed >> np.uint64(32)) % np.uint64(self.counts.shape[1])).astype(np.int64)

    def assign(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cell of the n-gram that ends at each consecutive frame of ``[n, D]``, and no confidence (NaN).

        The first ``order - 1`` rows take what went before for the first code and are not to be used.
        """
        codes = self.codes(z)
        order = self.multipliers.shape[1]
        padded = np.concatenate([np.repeat(codes[:1], order - 1), codes])
        ngrams = np.stack([padded[order - 1 - j : len(padded) - j] for j in range(order)], axis=1)
        buckets = self.buckets(ngrams)
        head = np.take_along_axis(self.counts, buckets, axis=1).argmin(0)
        cells = head * self.counts.shape[1] + buckets[head, np.arange(len(head))]
        return cells, np.full(len(z), np.nan)


@dataclass(frozen=True)
class SupervisedVq:
    """K-means of what a small network predicts of the innovation: contexts that foretell alike share a cell.

    Attributes:
        weights: of the two layers, ``[inputs, hidden]`` and ``[hidden, directions]``.
        biases: of the two layers.
        centroids: ``[K, directions]``.

    Source: the conditional mean is what a quantiser of squared error must keep (Gray 1990, vector quantisation);
        network by scikit-learn.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    centroids: np.ndarray

    @classmethod
    def fit(cls, inputs: np.ndarray, innovation: np.ndarray, n_cells: int, hidden: int, seed: int) -> Self:
        """Train the network on train frames, and quantise its predictions.

        The last tenth of the frames, which are other speakers', says when to stop: a random tenth would be of the same
        utterances. Where no epoch foretells them, all contexts get one cell.

        Args:
            inputs: last frame and mean of each context, ``[n, 2 D]``, in the order of the corpus.
            innovation: what the linear model leaves of the targets ``[n, D]``.
            n_cells: K.
            hidden: units.
            seed: of the weights, the order of batches and k-means.
        """
        energy = innovation.T.astype(np.float64) @ innovation
        _, vectors = np.linalg.eigh(energy)
        targets = innovation @ vectors[:, ::-1][:, :TARGET_DIMS].astype(innovation.dtype)
        trained = _train(inputs, (targets - targets.mean(0)) / targets.std(), hidden, seed)
        if trained is None:
            nothing = np.zeros((inputs.shape[1], 1)), np.zeros((1, 1))
            return cls(nothing, (np.zeros(1), np.zeros(1)), np.zeros((1, 1)))
        (first, second), (bias, last) = trained
        whole = cls((first, second), (bias, last), np.zeros((0, 0))).predict(inputs)
        _, vectors = np.linalg.eigh(np.cov(whole.T).reshape(whole.shape[1], -1))
        leading = vectors[:, ::-1][:, :PREDICTED_DIMS]
        fitted = cls((first, second @ leading), (bias, last @ leading), np.zeros((0, 0)))
        predicted = fitted.predict(inputs)
        centroids = KMeans(min(n_cells, len(predicted)), n_init=1, random_state=seed).fit(predicted).cluster_centers_
        return cls(fitted.weights, fitted.biases, centroids)

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Return the leading directions of the predicted innovation ``[n, directions]``."""
        hidden = np.maximum(inputs @ self.weights[0] + self.biases[0], 0)
        return hidden @ self.weights[1] + self.biases[1]

    def assign(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cell of each context and how sure it is; see `nearest_centroids`."""
        if len(self.centroids) == 1:
            return np.zeros(len(inputs), np.int64), np.full(len(inputs), np.nan)
        confidence, cells = nearest_centroids(self.predict(inputs), self.centroids)
        return cells, confidence


def _train(
    inputs: np.ndarray, targets: np.ndarray, hidden: int, seed: int
) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    """Return weights and biases at the epoch that foretells the last tenth best; None where none surely does.

    Predictions are scored at their best scale, which the means of the cells find again: what they share with the
    targets, squared, over their own energy.
    """
    kept = len(inputs) - len(inputs) // 10
    network = MLPRegressor(
        hidden_layer_sizes=(hidden,), batch_size=min(BATCH_SIZE, kept), alpha=WEIGHT_PENALTY,
        learning_rate_init=LEARNING_RATE, random_state=seed,
    )  # fmt: skip
    most, best, patience = 0.0, None, 0
    for _ in range(EPOCHS):
        network.partial_fit(inputs[:kept], targets[:kept] if targets.shape[1] > 1 else targets[:kept, 0])
        predicted = network.predict(inputs[kept:]).reshape(-1, targets.shape[1])
        shared = (predicted * targets[kept:]).sum(1)
        sure = shared.mean() > SURE * shared.std() / np.sqrt(max(len(shared), 1))
        score = shared.mean() ** 2 / np.square(predicted).sum(1).mean()
        if sure and score > most:
            most, best, patience = score, deepcopy((network.coefs_, network.intercepts_)), 0
        elif (patience := patience + 1) == PATIENCE:
            break
    return best


def key_arrays(key: NgramHash | SupervisedVq | None) -> dict[str, np.ndarray]:
    """Return what `key_from_arrays` makes the key of again, by name."""
    if isinstance(key, NgramHash):
        return {f"key.{name}": getattr(key, name) for name in ("codebook", "multipliers", "counts")}
    if isinstance(key, SupervisedVq):
        layers = {f"key.{name}.{i}": getattr(key, name)[i] for name in ("weights", "biases") for i in range(2)}
        return layers | {"key.centroids": key.centroids}
    return {}


def key_from_arrays(kind: str, arrays: dict[str, np.ndarray]) -> NgramHash | SupervisedVq | None:
    """Return the key of a condition of some kind, None for kinds without one."""
    if kind == "ngram_hash":
        return NgramHash(*(arrays[f"key.{name}"] for name in ("codebook", "multipliers", "counts")))
    if kind == "supervised_vq":
        weights, biases = (tuple(arrays[f"key.{name}.{i}"] for i in range(2)) for name in ("weights", "biases"))
        return SupervisedVq(weights, biases, arrays["key.centroids"])
    return None
