"""Means with intervals over pairs: a pair depends on both of its units, and a unit is in many pairs."""

from __future__ import annotations

import numpy as np

from soundgate.evaluation.resampling import weighted_estimate
from soundgate.evaluation.statistics import Estimate, proportion_estimate


def pair_mean(
    values: np.ndarray, first: np.ndarray, second: np.ndarray, generator: np.random.Generator, n_bootstrap: int
) -> Estimate:
    """Estimate the mean of values of pairs, with an interval over the units, both ends of a pair alike.

    A unit that is drawn twice, or left out, is so as either end.

    Args:
        values: float [n]; what is not finite is left out.
        first: [n], labels of units, e.g. source speakers.
        second: [n], labels of the same kind, e.g. target speakers.
        generator: of the resampling.
        n_bootstrap: resamples.

    Returns:
        The estimate, ``n`` the number of units.

    Source: Snijders and Borgatti 1999, non-parametric standard errors of dyadic data.
    """
    values = np.asarray(values, float)
    used = np.isfinite(values)
    if not used.any():
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    values, (first, second) = values[used], (np.asarray(labels)[used] for labels in (first, second))
    units, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    ends = codes.reshape(2, -1)

    def mean(counts: np.ndarray) -> float:
        weights = counts[ends[0]] * np.where(ends[0] == ends[1], 1, counts[ends[1]])
        total = weights.sum()
        return float(weights @ values / total) if total else float("nan")

    return weighted_estimate(mean, len(units), generator, n_bootstrap)


def pair_share(
    hits: np.ndarray, first: np.ndarray, second: np.ndarray, generator: np.random.Generator, n_bootstrap: int
) -> Estimate:
    """Estimate a share of pairs; see `pair_mean`.

    Where all values agree there is no spread to resample: the interval is then Wilson's with as many trials as there
    are units, so that a few speakers cannot prove anything by agreeing.

    Args:
        hits: bool [n], at least one.
        first: as there.
        second: as there.
        generator: as there.
        n_bootstrap: as there.
    """
    hits = np.asarray(hits, float)
    estimate = pair_mean(hits, first, second, generator, n_bootstrap)
    if hits.min() == hits.max():
        return proportion_estimate(round(estimate.value * estimate.n), estimate.n)
    low, high = np.clip([estimate.ci_low, estimate.ci_high], 0, 1)
    return Estimate(estimate.value, float(low), float(high), estimate.n)
