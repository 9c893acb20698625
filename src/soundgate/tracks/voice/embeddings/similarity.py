"""Figures of merit of embeddings whose speakers are known, with intervals over speakers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.metrics import davies_bouldin_score, silhouette_samples

from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.resampling import weighted_estimate
from soundgate.evaluation.statistics import Estimate

# Pairs whose vectors are in memory at a time.
_BLOCK = 2**14


class Pairs(NamedTuple):
    """All pairs of different utterances.

    Args:
        similarity: float64 [P], cosines.
        first: int32 [P], the one's speaker, counted from 0.
        second: int32 [P], the other's.
        n_speakers: of all.
    """

    similarity: np.ndarray
    first: np.ndarray
    second: np.ndarray
    n_speakers: int

    @property
    def same(self) -> np.ndarray:
        """Whether one speaker spoke both, bool [P]."""
        return self.first == self.second

    def weights(self, speakers: np.ndarray) -> np.ndarray:
        """Return how often each pair is there where speakers are there so often; copies are one speaker, not two."""
        return np.where(self.same, speakers[self.first], speakers[self.first] * speakers[self.second])


def pairs_of(embeddings: np.ndarray, speakers: np.ndarray) -> Pairs:
    """Return all pairs, in the order of ``np.triu_indices(N, 1)``; in memory are 16 bytes each, and a block's vectors.

    Args:
        embeddings: unit vectors [N, D].
        speakers: [N], any labels.
    """
    codes = np.unique(speakers, return_inverse=True)[1].astype(np.int32)
    # The first pair of each utterance with those after it.
    begins = np.append(0, np.cumsum(np.arange(len(codes) - 1, 0, -1)))
    n_pairs = int(begins[-1])
    cosines, first, second = np.empty(n_pairs), np.empty(n_pairs, np.int32), np.empty(n_pairs, np.int32)
    for start in range(0, n_pairs, _BLOCK):
        number = np.arange(start, min(start + _BLOCK, n_pairs))
        one = np.searchsorted(begins, number, side="right") - 1
        other = number - begins[one] + one + 1
        own = slice(start, start + _BLOCK)
        cosines[own] = np.einsum("pd,pd->p", embeddings[one].astype(float), embeddings[other].astype(float))
        first[own], second[own] = codes[one], codes[other]
    return Pairs(cosines, first, second, int(codes.max()) + 1)


def equal_error_rate(similarity: np.ndarray, same: np.ndarray, weights: np.ndarray) -> float:
    """Return the rate at which as many pairs of one speaker are refused as pairs of two are accepted.

    Args:
        similarity: [P].
        same: bool [P].
        weights: [P], how often each pair counts.

    Returns:
        Between 0 and 1, by linear interpolation between thresholds; NaN where either kind of pairs is missing.
    """
    order = np.argsort(similarity, kind="stable")
    similarity, same, weights = similarity[order], same[order], weights[order]
    # Thresholds lie between different similarities alone.
    ends = np.append(np.flatnonzero(np.diff(similarity) > 0), len(similarity) - 1)
    refused = np.append(0.0, np.cumsum(weights * same)[ends])
    accepted = np.append(0.0, np.cumsum(weights * ~same)[ends])
    if refused[-1] == 0 or accepted[-1] == 0:
        return float("nan")
    refused, accepted = refused / refused[-1], 1 - accepted / accepted[-1]
    above = int(np.argmax(refused >= accepted))
    gap_before, gap_after = accepted[above - 1] - refused[above - 1], refused[above] - accepted[above]
    share = gap_before / (gap_before + gap_after)
    return float(refused[above - 1] + share * (refused[above] - refused[above - 1]))


def speaker_figures(
    embeddings: np.ndarray, speakers: np.ndarray, generator: np.random.Generator, n_bootstrap: int
) -> dict[str, Estimate | float]:
    """Return what embeddings are judged by.

    Args:
        embeddings: unit vectors [N, D].
        speakers: [N], any labels; two or more speakers, one of them with two or more utterances.
        generator: of the resampling of speakers.
        n_bootstrap: resamples.

    Returns:
        Estimates over speakers: ``same`` and ``different`` (mean cosine of pairs of utterances of one speaker and of
        two), ``separation`` (their difference), ``eer``, ``silhouette``; and ``davies_bouldin``, which has no interval.

    Source: Rousseeuw 1987 (silhouette, here of Euclidean distances); Davies and Bouldin 1979.
    """
    pairs = pairs_of(embeddings, speakers)
    same = pairs.same
    # What is in order already is quickly brought in order, for every resample.
    order = np.argsort(pairs.similarity, kind="stable")
    ordered = pairs.similarity[order], same[order]

    def mean(own: np.ndarray, counts: np.ndarray) -> float:
        weights = pairs.weights(counts) * own
        return float(weights @ pairs.similarity / weights.sum()) if weights.any() else float("nan")

    statistics = {
        "same": lambda counts: mean(same, counts),
        "different": lambda counts: mean(~same, counts),
        "separation": lambda counts: mean(same, counts) - mean(~same, counts),
        "eer": lambda counts: equal_error_rate(*ordered, pairs.weights(counts)[order]),
    }
    figures: dict[str, Estimate | float] = {
        name: weighted_estimate(statistic, pairs.n_speakers, generator, n_bootstrap)
        for name, statistic in statistics.items()
    }
    clustered = pairs.n_speakers < len(embeddings)
    silhouette = silhouette_samples(embeddings, speakers) if clustered else np.full(len(embeddings), np.nan)
    figures["silhouette"] = group_mean(silhouette, speakers, generator, n_bootstrap)
    figures["davies_bouldin"] = float(davies_bouldin_score(embeddings, speakers)) if clustered else float("nan")
    return figures


def figures_json(figures: dict[str, Estimate | float]) -> dict:
    """Return figures as JSON values; see `speaker_figures`."""
    return {name: own.as_dict() if isinstance(own, Estimate) else own for name, own in figures.items()}
