"""The power of the comparison: a textbook's case, another simulation of it, and what is said before arms are run."""

from itertools import product

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from soundgate.runtime.errors import ConfigError
from soundgate.tracks.voice.ablations.command import show_power
from soundgate.tracks.voice.ablations.commands import ablations
from soundgate.tracks.voice.ablations.comparison import compare
from soundgate.tracks.voice.ablations.power import Design, effect_for, power_of, seeds_for, spread_text
from tests.pipeline_file import ROOT
from tests.tracks.voice.simulated_arms import settings, simulated

ALONE = Design(n_arms=1, level=0.05)


def paired_t_power(effect, n):
    """Return the power of the two-sided paired t-test at 5 %, by the noncentral t (Cohen 1988)."""
    limit, shift = stats.t.ppf(0.975, n - 1), effect * np.sqrt(n)
    return stats.nct.sf(limit, n - 1, shift) + stats.nct.cdf(-limit, n - 1, shift)


@pytest.mark.parametrize(("effect", "n"), [(1.0, 10), (0.8, 15)])
def test_one_arm_needs_what_the_textbook_says_of_the_paired_t_test(effect, n):
    # d_z 1.0 and 0.8 with 80 % at 5 %: 10 and 15 pairs. Exceeding A/A, and what flips lose to the normal, cost little.
    assert paired_t_power(effect, n - 1) < 0.8 <= paired_t_power(effect, n)
    assert paired_t_power(effect, n) - 0.08 < power_of(ALONE, effect, n) < paired_t_power(effect, n) + 0.04
    assert n <= seeds_for(ALONE, effect, 0.8) <= n + 2


def test_power_is_that_of_another_simulation():
    """Every flip of every data set by itself, with scipy's t."""
    generator, n, k, effect, level = np.random.default_rng(9), 7, 2, 1.4, 0.05
    signs = np.array(list(product([1, -1], repeat=n)))[:, :, None]
    found, n_simulations = 0, 400
    for _ in range(n_simulations):
        baseline, again = generator.normal(5, 2, (2, n))
        arms = generator.normal(5, 2, (n, k)) + [effect * 2 * np.sqrt(2), 0]
        own = arms - baseline[:, None]
        t = np.abs(stats.ttest_1samp(signs * own, 0, axis=1).statistic)
        p = np.mean(t.max(axis=1) >= t[0, 0] - 1e-9)
        found += p <= level and t[0, 0] > abs(stats.ttest_rel(again, baseline).statistic)
    assert power_of(Design(k, level), effect, n) == pytest.approx(found / n_simulations, abs=0.08)


def test_power_is_that_of_the_comparison_itself():
    n, effect = 60, 1.4
    # A pair's own noise and what seeds do: the deviation of a seed's mean difference.
    deviation = np.sqrt(0.3**2 + 2 * 0.3**2 / 8)
    verdicts = [
        compare(
            settings(("up", "null"), {"similarity": "higher"}),
            simulated(np.random.default_rng(k), {"up": effect * deviation, "null": 0.0}, 7, {"similarity": "higher"}),
        ).set_index("arm").loc["up", "verdict"]
        for k in range(n)
    ]  # fmt: skip
    expected = power_of(Design(2, 0.05), effect, 7)
    low, high = stats.binom.ppf([0.001, 0.999], n, expected)
    assert low <= verdicts.count("better") <= high and 0.3 < expected < 0.99


def test_more_seeds_and_fewer_arms_find_more_and_too_few_seeds_nothing():
    quick = Design(6, 0.025, n_simulations=200)
    assert power_of(quick, 50.0, 6) == 0.0 and effect_for(quick, 6, 0.8) is None
    assert power_of(quick, 0.0, 8) <= 0.05 and power_of(quick, 10.0, 8) == 1.0
    assert power_of(quick, 1.5, 8) < power_of(quick, 1.5, 16)
    assert power_of(quick, 1.2, 12) < power_of(quick._replace(n_arms=1), 1.2, 12)
    smallest = effect_for(quick, 12, 0.8)
    assert power_of(quick, smallest, 12) >= 0.8 > power_of(quick, smallest - 0.2, 12)
    assert seeds_for(quick, 0.01, 0.8) is None


def test_what_one_deviation_is_comes_from_what_is_collected():
    collected = simulated(np.random.default_rng(0), {"arm": 0.0}, n_seeds=20, noise_sd=0.0)
    said = spread_text(settings(), collected)
    own = collected.scores.query("measure == 'similarity' and target == 't0'").pivot(
        index="seed", columns="arm", values="value"
    )
    deviation = (own["arm"] - own["baseline"]).std()
    assert f"similarity: 1 SD was {deviation:.3g} in the median arm" in said and "mel_db" in said
    assert spread_text(settings(), simulated(np.random.default_rng(0), {"arm": 0.0}, n_seeds=2)) == ""


def test_the_command_says_seeds_and_effect(monkeypatch):
    monkeypatch.chdir(ROOT)
    options = [
        "power",
        "--arms",
        "no_gan,baseline,baseline_again",
        "--effect",
        "2",
        "--seeds",
        "6",
        "--profile",
        "tiny",
    ]
    done = CliRunner().invoke(ablations, options)
    assert done.exit_code == 0, done.output
    needed = seeds_for(Design(1, 0.025), 2.0, 0.8)
    assert "1 arm tested together" in done.output and "level 0.025" in done.output
    assert f"An effect of 2 SD is found with a power of 80% by {needed} seeds an arm." in done.output
    assert "6 seeds an arm find no effect, however large" in done.output
    with pytest.raises(ConfigError, match="--arms: expected baseline, .*; found wurst"):
        show_power(["wurst"], 6, 1.0, 0.8, "tiny", ROOT)
