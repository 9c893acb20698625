import numpy as np
import pytest
from scipy import stats

from soundgate.evaluation.gates import verdict
from soundgate.evaluation.spread import spread_of, widened, with_spread


def test_half_widths_are_added_in_quadrature_with_students_quantile():
    values = [0.5, 0.6, 0.7, 0.6, 0.6]
    spread = spread_of(values)
    assert spread["mean"] == pytest.approx(0.6) and spread["sd"] == pytest.approx(np.std(values, ddof=1))
    reach = stats.t.ppf(0.975, 4) * spread["sd"]
    low, high = widened(0.6, (0.5, 0.8), spread["sd"], 5)
    assert low == pytest.approx(0.6 - np.hypot(0.1, reach)) and high == pytest.approx(0.6 + np.hypot(0.2, reach))
    assert widened(0.6, None, spread["sd"], 5) == pytest.approx((0.6 - reach, 0.6 + reach))
    assert widened(0.6, (None, 0.8), spread["sd"], 5)[0] is None


def test_a_gate_within_the_spread_of_its_threshold_is_undecided():
    sure = verdict(0.88, "above", 0.85, (0.857, 0.904), 10)
    assert sure["verdict"] == "pass"
    wide = with_spread(sure, spread_of([0.88, 0.84, 0.86, 0.9, 0.87]))
    assert (wide["verdict"], wide["value"], wide["seeds"]) == ("undecided", 0.88, 5)
    assert wide["ci_low"] < 0.85 and wide["seed_sd"] == pytest.approx(0.0223606797)
    by_value = with_spread(verdict(0.88, "above", 0.85), spread_of([0.88, 0.84, 0.86, 0.9, 0.87]))
    assert by_value["verdict"] == "undecided" and by_value["ci_low"] < 0.85 < by_value["ci_high"]


def test_what_no_seed_changes_is_judged_as_before():
    for gate in (verdict(1.0, "above", 1.0), verdict(0.9, "above", 0.85, (0.8, 1.0))):
        found = with_spread(gate, spread_of([gate["value"]] * 5))
        assert found == gate | {"seeds": 5, "seed_sd": 0.0}


def test_a_seed_without_a_number_leaves_the_interval_unknown():
    found = with_spread(verdict(0.9, "above", 0.85, (0.88, 0.92)), spread_of([0.9, None, 0.9]))
    assert (found["verdict"], found["ci_low"], found["seed_sd"]) == ("undecided", None, None)
    diverged = verdict(None, "above", 0.85)
    assert with_spread(diverged, spread_of([0.9, 0.91]))["verdict"] == "fail"


def test_one_seed_has_no_spread():
    gate = verdict(0.9, "above", 0.85)
    found = with_spread(gate, spread_of([0.5]))
    assert (found["verdict"], found["seeds"], found["seed_sd"]) == ("pass", 1, None)


def test_intervals_with_the_spread_hold_the_true_mean_as_often_as_they_say():
    """Trainings scatter by 1, units by 2: the interval of one run must hold the mean over both in 95 % of the cases."""
    generator, held, n = np.random.default_rng(0), 0, 2000
    for _ in range(n):
        units = generator.normal(generator.normal(0, 1), 2, 25)
        half = stats.t.ppf(0.975, 24) * units.std(ddof=1) / 5
        sd = float(np.std(generator.normal(0, 1, 5), ddof=1))
        low, high = widened(units.mean(), (units.mean() - half, units.mean() + half), sd, 5)
        held += low <= 0 <= high
    assert 0.94 < held / n < 0.985


def test_two_seeds_have_a_spread():
    found = spread_of([1.0, 3.0])
    assert (found["mean"], found["n"]) == (2.0, 2) and found["sd"] == pytest.approx(np.sqrt(2))
    assert spread_of([1.0])["sd"] is None
    gate = with_spread(verdict(100.0, "above", 0.0), found)
    reach = 12.7062047 * np.sqrt(2)
    assert (gate["ci_low"], gate["ci_high"]) == pytest.approx((100 - reach, 100 + reach))
