from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from soundgate.evaluation.statistics import permutation_p, proportion_estimate, ratio_estimate


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_few_units_give_the_jackknife_interval_with_student_t():
    x, y = np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.0, 4.0])
    left_out = np.array([6 / 6, 5 / 6, 3 / 4])
    error = np.sqrt(2 / 3 * np.square(left_out - left_out.mean()).sum())
    estimate = ratio_estimate(x, y, generator())
    assert estimate.value == pytest.approx(7 / 8)
    assert estimate.ci_high == pytest.approx(7 / 8 + stats.t.ppf(0.975, 2) * error)
    assert estimate.ci_low == pytest.approx(7 / 8 - stats.t.ppf(0.975, 2) * error)
    assert estimate.n == 3


def test_one_unit_has_a_value_and_no_interval():
    estimate = ratio_estimate(np.array([1.0, 0.0]), np.array([4.0, 0.0]), generator())
    assert estimate.value == 0.25 and estimate.n == 1
    assert estimate.as_dict()["ci_low"] is None


def test_no_unit_has_no_value():
    estimate = ratio_estimate(np.zeros(3), np.zeros(3), generator())
    assert estimate.as_dict() == {"value": None, "ci_low": None, "ci_high": None, "n": 0}


@pytest.mark.parametrize("units", [8, 40])
def test_intervals_cover_the_truth_about_as_often_as_they_say(units):
    draws, covered = generator(1), 0
    for _ in range(400):
        y = draws.gamma(4.0, size=units)
        x = 0.3 * y + 0.2 * draws.standard_normal(units)
        estimate = ratio_estimate(x, y, draws, 500)
        covered += estimate.ci_low <= 0.3 <= estimate.ci_high
    assert 0.90 <= covered / 400 <= 0.98


def test_equal_units_have_an_interval_of_no_width():
    estimate = ratio_estimate(np.full(30, 2.0), np.full(30, 5.0), generator())
    assert estimate.ci_low == estimate.ci_high == pytest.approx(0.4)


def test_permutation_p_counts_ties_and_never_reaches_zero():
    assert permutation_p(1.0, np.array([0.0, 1.0, 2.0])) == pytest.approx(3 / 4)
    assert permutation_p(9.0, np.zeros(99)) == pytest.approx(0.01)


def test_wilson_interval_of_all_successes():
    estimate = proportion_estimate(10, 10)
    z = stats.norm.ppf(0.975)
    assert estimate.ci_high == pytest.approx(1.0)
    assert estimate.ci_low == pytest.approx(10 / (10 + z**2))


def test_two_units_have_an_interval():
    """Left out one by one: 0.5 and 1; their error is half the difference, Student's quantile on 1 degree 12.706."""
    estimate = ratio_estimate(np.array([1.0, 1.0]), np.array([1.0, 2.0]), generator())
    assert estimate.ci_high - estimate.value == pytest.approx(12.7062047 * 0.25)
    assert estimate.value - estimate.ci_low == pytest.approx(12.7062047 * 0.25)


def test_from_twenty_units_on_the_interval_is_that_of_two_thousand_draws():
    x, y = generator(1).random(20), 1 + generator(2).random(20)
    estimate = ratio_estimate(x, y, generator(3))
    draws = generator(3).multinomial(20, np.full(20, 1 / 20), size=2000)
    shares = [np.repeat(x, counts).sum() / np.repeat(y, counts).sum() for counts in draws]
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx(tuple(np.quantile(shares, [0.025, 0.975])))


def test_nineteen_units_are_few():
    x, y = generator(1).random(19), 1 + generator(2).random(19)
    left_out = np.array([np.delete(x, i).sum() / np.delete(y, i).sum() for i in range(19)])
    half = stats.t.ppf(0.975, 18) * np.sqrt(18 / 19 * np.square(left_out - left_out.mean()).sum())
    estimate = ratio_estimate(x, y, generator())
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((estimate.value - half, estimate.value + half))


def test_a_share_of_some_has_wilsons_interval():
    z, n, share = stats.norm.ppf(0.975), 12, 3 / 12
    centre, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    estimate = proportion_estimate(3, 12)
    assert (estimate.value, estimate.n) == (0.25, 12)
    assert estimate.ci_low == pytest.approx((centre - half) / (1 + z**2 / n))
    assert estimate.ci_high == pytest.approx((centre + half) / (1 + z**2 / n))
