"""Intervals of any statistic over independent units, given as a function of how often each unit counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from soundgate.evaluation.statistics import FEW_UNITS, Estimate


def weighted_estimate(
    statistic: Callable[[np.ndarray], float], n_units: int, generator: np.random.Generator, n_bootstrap: int
) -> Estimate:
    """Estimate a statistic whose data belong to units in other ways than one by one, such as pairs of speakers.

    The interval is made as by `soundgate.evaluation.statistics.ratio_estimate`: percentile bootstrap from ``FEW_UNITS``
    units on, else the jackknife's standard error with Student's t. Draws for which the statistic is not finite (too few
    different units) are left out.

    Args:
        statistic: of weights float64 [n_units]: how often each unit is there.
        n_units: 1 or more.
        generator: of the resampling.
        n_bootstrap: resamples.

    Source: Efron & Tibshirani 1993, chapters 11 and 13.
    """
    value = float(statistic(np.ones(n_units)))
    if n_units == 1 or not np.isfinite(value):
        return Estimate(value, float("nan"), float("nan"), n_units)
    if n_units < FEW_UNITS:
        left_out = np.array([statistic(row) for row in 1.0 - np.eye(n_units)])
        error = np.sqrt((n_units - 1) / n_units * np.square(left_out - left_out.mean()).sum())
        half = stats.t.ppf(0.975, n_units - 1) * error
        return Estimate(value, float(value - half), float(value + half), n_units)
    drawn = generator.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_bootstrap)
    low, high = np.nanquantile([statistic(row.astype(float)) for row in drawn], [0.025, 0.975])
    return Estimate(value, float(low), float(high), n_units)
