"""Intervals and p-values: the independent unit (speaker, track, seed) is resampled, never the frame."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

FEW_UNITS = 20


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval and the number of independent units behind it."""

    value: float
    ci_low: float
    ci_high: float
    n: int

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the fields for JSON; a field that is not finite becomes None."""
        return {name: field if np.isfinite(field) else None for name, field in asdict(self).items()}


def ratio_estimate(
    numerator: np.ndarray, denominator: np.ndarray, generator: np.random.Generator, n_bootstrap: int = 2000
) -> Estimate:
    """Estimate sum(numerator) / sum(denominator) with an interval over independent units.

    With at least ``FEW_UNITS`` units the interval is the percentile bootstrap; with fewer, whose bootstrap is too
    narrow, the jackknife's standard error with Student's t on n - 1 degrees of freedom. One unit has no interval.

    Args:
        numerator: one sum per unit ``[n]``.
        denominator: one positive sum per unit ``[n]``.
        generator: for the resampling.
        n_bootstrap: resamples.

    Returns:
        The estimate; all NaN where no unit has a positive denominator.

    Source: Efron & Tibshirani 1993, chapters 11 and 13.
    """
    used = denominator > 0
    x, y = np.asarray(numerator, float)[used], np.asarray(denominator, float)[used]
    n = len(x)
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    value = float(x.sum() / y.sum())
    if n == 1:
        return Estimate(value, float("nan"), float("nan"), 1)
    if n < FEW_UNITS:
        left_out = (x.sum() - x) / (y.sum() - y)
        error = np.sqrt((n - 1) / n * np.square(left_out - left_out.mean()).sum())
        half = stats.t.ppf(0.975, n - 1) * error
        return Estimate(value, float(value - half), float(value + half), n)
    weights = generator.multinomial(n, np.full(n, 1 / n), size=n_bootstrap)
    low, high = np.quantile((weights @ x) / (weights @ y), [0.025, 0.975])
    return Estimate(value, float(low), float(high), n)


def permutation_p(observed: float, null: np.ndarray) -> float:
    """Return the p-value (1 + b) / (1 + m), b the null draws at least as large as the observed of m in all.

    Source: Phipson & Smyth 2010, "Permutation p-values should never be zero".
    """
    return (1 + int(np.sum(np.asarray(null) >= observed))) / (1 + len(null))


def proportion_estimate(successes: int, n: int) -> Estimate:
    """Estimate a proportion with Wilson's 95 % interval.

    Source: Wilson 1927.
    """
    interval = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return Estimate(successes / n, float(interval.low), float(interval.high), n)
