"""Means with intervals where two kinds of units cross: a pair depends on its source and on its target."""

from __future__ import annotations

import numpy as np
from scipy import stats

from soundgate.evaluation.statistics import Estimate, proportion_estimate


def crossed_mean(
    values: np.ndarray, rows: np.ndarray, columns: np.ndarray, generator: np.random.Generator, n_bootstrap: int = 2000
) -> Estimate:
    """Estimate the mean of values that each belong to one unit of two kinds.

    Both kinds are resampled, each value weighted by the product of its two units' counts, which errs to the wide
    side. The standard error is taken with Student's t on one less than the fewer units, since percentiles of few
    units are too narrow.

    Args:
        values: float [n]; what is not finite is left out.
        rows: [n], labels of one kind of unit, e.g. source speakers.
        columns: [n], labels of the other kind, e.g. target speakers.
        generator: of the resampling.
        n_bootstrap: resamples.

    Returns:
        The estimate, ``n`` the number of units of the kind that has fewer; no interval where that is one.

    Source: Owen 2007, "The pigeonhole bootstrap".
    Differs: an interval from the standard error in place of percentiles.
    """
    values = np.asarray(values, float)
    used = np.isfinite(values)
    if not used.any():
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    values, (rows, columns) = values[used], (np.asarray(labels)[used] for labels in (rows, columns))
    row_of, column_of = (np.unique(labels, return_inverse=True)[1] for labels in (rows, columns))
    n_rows, n_columns = row_of.max() + 1, column_of.max() + 1
    value, n = float(values.mean()), int(min(n_rows, n_columns))
    if n == 1:
        return Estimate(value, float("nan"), float("nan"), 1)
    weights = _counts(n_rows, generator, n_bootstrap)[:, row_of] * _counts(n_columns, generator, n_bootstrap)[:, column_of]
    totals = weights.sum(axis=1)
    means = (weights[totals > 0] @ values) / totals[totals > 0]
    half = stats.t.ppf(0.975, n - 1) * float(means.std(ddof=1))
    return Estimate(value, value - half, value + half, n)


def crossed_share(
    hits: np.ndarray, rows: np.ndarray, columns: np.ndarray, generator: np.random.Generator, n_bootstrap: int = 2000
) -> Estimate:
    """Estimate a share; see `crossed_mean`.

    Where all values agree there is no spread to resample: the interval is then Wilson's with as many trials as the
    fewer units, so that a few speakers cannot prove anything by agreeing.

    Args:
        hits: bool [n].
        rows: as there.
        columns: as there.
        generator: as there.
        n_bootstrap: as there.
    """
    hits = np.asarray(hits, float)
    estimate = crossed_mean(hits, rows, columns, generator, n_bootstrap)
    if not len(hits) or hits.min() < hits.max():
        low, high = np.clip([estimate.ci_low, estimate.ci_high], 0, 1)
        return Estimate(estimate.value, float(low), float(high), estimate.n)
    return proportion_estimate(round(estimate.value * estimate.n), estimate.n)


def _counts(n: int, generator: np.random.Generator, n_bootstrap: int) -> np.ndarray:
    return generator.multinomial(n, np.full(n, 1 / n), size=n_bootstrap)
