"""Several tests at once, of paired differences: sign flips, corrected by the largest statistic of each."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

N_FLIPS = 9999


class Flipped(NamedTuple):
    """p-values of sign flips, NaN where a test has fewer than two units.

    Args:
        alone: of each test by itself, float [n_tests].
        adjusted: so that the chance of any false rejection among the tests is held, float [n_tests].
    """

    alone: np.ndarray
    adjusted: np.ndarray


def sign_flips(n_units: int, generator: np.random.Generator, n_flips: int = N_FLIPS) -> np.ndarray:
    """Return flips of signs, the first of which flips nothing; a flip and its opposite count as one.

    Args:
        n_units: 1 or more.
        generator: of random flips.
        n_flips: how many are drawn where there are more.

    Returns:
        float64 [n, n_units] of 1 and -1: all 2^(n_units - 1), or ``n_flips`` random ones behind the first.
    """
    if 2 ** (n_units - 1) <= n_flips:
        bits = np.arange(2 ** (n_units - 1))[:, None] >> np.arange(n_units)
        return 1.0 - 2.0 * (bits & 1)
    drawn = generator.integers(0, 2, (n_flips + 1, n_units))
    drawn[0] = 0
    return 1.0 - 2.0 * drawn


def flipped_t(signs: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """Return the size of Student's paired t under each flip.

    Args:
        signs: [n_flips, n_units], from `sign_flips`.
        differences: float [n_units, n_tests], two units or more.

    Returns:
        float [n_flips, n_tests]; 0 for differences that are all 0.
    """
    n_units = len(differences)
    means = signs @ differences / n_units
    variances = np.maximum(np.square(differences).mean(axis=0) - np.square(means), 0) / (n_units - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.abs(means) / np.sqrt(variances), nan=0.0, posinf=np.inf)


def max_t(differences: np.ndarray, generator: np.random.Generator) -> Flipped:
    """Test whether paired differences have mean 0, many tests at once on the same units.

    Each flip changes the sign of all differences of a unit together, so that tests which share a baseline stay as
    dependent as they are, whatever their spreads. Tests of different numbers of units are compared by Student's p. All
    flips are taken of up to 14 units, of more ``N_FLIPS`` random ones. What is assumed: under the null hypothesis the
    differences of a unit are as likely as their opposites.

    Args:
        differences: float [n_units, n_tests]; NaN where a test lacks a unit.
        generator: of random flips.

    Source: Westfall & Young 1993, "Resampling-based multiple testing", single-step max-T; Phipson & Smyth 2010 for
    counting what was observed among the draws.
    """
    counts = np.isfinite(differences).sum(axis=0)
    tested = np.flatnonzero(counts >= 2)
    alone, adjusted = np.full((2, differences.shape[1]), np.nan)
    if not len(tested):
        return Flipped(alone, adjusted)
    signs = sign_flips(len(differences), generator)
    by_flip = np.empty((len(signs), len(tested)))
    for column, test in enumerate(tested):
        known = np.isfinite(differences[:, test])
        statistic = flipped_t(signs[:, known], differences[known, test, None])[:, 0]
        by_flip[:, column] = stdtr(counts[test] - 1, -statistic)
    # What rounding tells apart counts as equal.
    observed = by_flip[0] * (1 + 1e-9)
    alone[tested] = (by_flip <= observed).mean(axis=0)
    adjusted[tested] = (by_flip.min(axis=1)[:, None] <= observed).mean(axis=0)
    return Flipped(alone, adjusted)


def fewest_units(level: float) -> int:
    """Return how many units sign flips need at least to reach a p-value: the smallest of n is 2^(1 - n)."""
    return 1 + math.ceil(-math.log2(level))
