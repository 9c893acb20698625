"""The comparison on simulated arms: how often it is wrong, what it finds, what it says of what is missing."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from soundgate.evaluation.multiple import holm
from soundgate.tracks.voice.ablations.collected import Collected
from soundgate.tracks.voice.ablations.comparison import compare, effect_size, paired, paired_p
from soundgate.tracks.voice.ablations.coverage import complaints, coverage
from soundgate.tracks.voice.ablations.report import report_markdown
from tests.tracks.voice.simulated_arms import MEASURES, settings, simulated

ONE = {"similarity": "higher"}


def test_holm_is_the_worked_example_and_leaves_what_was_not_tested():
    # Holm 1979 by hand: 0.01 x 4, 0.02 x 3, 0.03 x 2, then never less than the one before.
    found = holm(np.array([0.03, 0.01, np.nan, 0.04, 0.02]))
    np.testing.assert_allclose(found, [0.06, 0.04, np.nan, 0.06, 0.06])
    np.testing.assert_allclose(holm(np.array([0.6, 0.7])), [1.0, 1.0])
    assert holm(np.array([])).shape == (0,)


def test_effect_size_and_p_are_those_of_the_textbook():
    differences = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    # d_z = 3 / sqrt(2.5); Hedges' factor for 4 degrees of freedom is 1 - 3 / 15.
    assert effect_size(differences) == pytest.approx(3 / np.sqrt(2.5) * 0.8)
    assert paired_p(differences) == pytest.approx(stats.ttest_rel(differences + 7, np.full(5, 7.0)).pvalue)
    assert np.isnan(effect_size(np.array([2.0, 3.0])))
    assert np.isnan(effect_size(np.array([2.0]))) and np.isnan(paired_p(np.array([2.0])))
    assert paired_p(np.zeros(3)) == 1.0 and paired_p(np.full(3, 2.0)) < 1e-6


def false_positives(n_simulations, heavy):
    """Return how many of the A/A comparisons have p < 0.05, and how many tables of null arms show anything."""
    alone, any_shown = 0, 0
    arms = {f"arm{k}": 0.0 for k in range(3)}
    for simulation in range(n_simulations):
        collected = simulated(np.random.default_rng(simulation), arms, measures=ONE, heavy=heavy)
        table = compare(settings(tuple(arms), ONE), collected)
        alone += table.loc[table["arm"] == "baseline_again", "p"].item() < 0.05
        any_shown += table["verdict"].isin(["better", "worse"]).any()
    return alone, any_shown


@pytest.mark.parametrize("heavy", [False, True])
def test_arms_without_effect_are_called_different_in_at_most_five_per_cent(heavy):
    n = 80
    allowed = stats.binom.ppf(0.999, n, 0.05)
    alone, any_shown = false_positives(n, heavy)
    assert alone <= allowed and any_shown <= allowed


@pytest.mark.parametrize("n_seeds", [3, 6])
def test_p_values_of_no_effect_are_uniform(n_seeds):
    generator, n = np.random.default_rng(0), 1000
    p = np.array([paired_p(generator.standard_normal(n_seeds)) for _ in range(n)])
    assert stats.binom.ppf(0.001, n, 0.05) <= (p < 0.05).sum() <= stats.binom.ppf(0.999, n, 0.05)
    assert stats.kstest(p, "uniform").pvalue > 0.001
    # Of five tests at once any is called significant in five per cent, without Holm in 23.
    at_once = p.reshape(-1, 5)
    family = np.array([holm(own).min() < 0.05 for own in at_once])
    assert family.sum() <= stats.binom.ppf(0.999, len(family), 0.05) < ((at_once < 0.05).any(axis=1)).sum()


def test_a_planted_effect_is_found_with_its_size_and_sign():
    # Four standard deviations of a seed's difference.
    found = {"better": 0, "worse": 0}
    estimates = []
    for simulation in range(20):
        collected = simulated(np.random.default_rng(simulation), {"up": 1.2, "null": 0.0}, n_seeds=8)
        table = compare(settings(("up", "null")), collected).set_index(["arm", "measure"])
        found["better"] += table.loc[("up", "similarity"), "verdict"] == "better"
        found["worse"] += table.loc[("up", "mel_db"), "verdict"] == "worse"
        estimates.append(table.loc[("up", "similarity"), ["difference", "ci_low", "ci_high", "pairs_agree"]])
    estimates = pd.DataFrame(estimates).astype(float)
    assert min(found.values()) >= 17
    assert estimates["difference"].mean() == pytest.approx(1.2, abs=0.1)
    assert ((estimates["ci_low"] < 1.2) & (1.2 < estimates["ci_high"])).mean() >= 0.8
    assert estimates["pairs_agree"].min() == 1.0


def test_pairing_finds_what_comparing_means_would_miss():
    # Pairs differ ten times as much as the arms do; a seed moves the runs of one seed together.
    generator, seeds = np.random.default_rng(0), np.arange(6)
    shared = generator.normal(0, 1.0, len(seeds))
    rows = [
        {"arm": arm, "seed": seed, "source": "s", "target": "t", "utterance": str(k), "measure": "similarity",
         "value": 3.0 * k + shared[seed] + effect + 0.1 * generator.standard_normal()}
        for arm, effect in (("baseline", 0.0), ("baseline_again", 0.0), ("arm", 0.3))
        for seed in seeds
        for k in range(8)
    ]  # fmt: skip
    scores = pd.DataFrame(rows)
    table = compare(settings(measures=ONE), Collected(scores, scores[["arm", "seed"]].drop_duplicates()))
    assert table.set_index("arm").loc["arm", "verdict"] == "better"
    by_run = scores.groupby(["arm", "seed"])["value"].mean()
    assert stats.ttest_ind(by_run["arm"], by_run["baseline"]).pvalue > 0.1


def test_pairs_and_seeds_are_matched_by_name_not_by_order():
    collected = simulated(np.random.default_rng(1), {"arm": 0.7})
    shuffled = collected.scores.sample(frac=1, random_state=0)
    lost = shuffled[~((shuffled["arm"] == "baseline") & (shuffled["seed"] == 2))]
    lost = lost[~((lost["arm"] == "arm") & (lost["seed"] == 4) & (lost["target"] == "t3"))]
    values = paired(lost, "arm", "baseline", "similarity")
    assert values.arm.shape == (7, 5)
    own = collected.scores[collected.scores["measure"] == "similarity"].set_index(["arm", "seed", "target"])["value"]
    expected = [
        np.mean([own["arm", seed, f"t{k}"] - own["baseline", seed, f"t{k}"] for k in range(8) if k != 3])
        for seed in (0, 1, 3, 4, 5)
    ]
    np.testing.assert_allclose(values.by_seed, expected)


def test_what_exceeds_p_but_not_the_noise_floor_is_no_difference():
    scores = pd.DataFrame(
        [
            {"arm": arm, "seed": seed, "source": "s", "target": "t", "utterance": "u", "measure": "similarity",
             "value": value}
            for arm, values in {
                "baseline": [0.0] * 6, "baseline_again": [-2.0, 2.0, -2.0, 2.0, -2.0, 2.0],
                "small": [0.50, 0.51, 0.49, 0.50, 0.51, 0.49], "large": [5.0, 5.1, 4.9, 5.0, 5.1, 4.9],
            }.items()
            for seed, value in enumerate(values)
        ]
    )  # fmt: skip
    runs = scores[["arm", "seed"]].drop_duplicates()
    table = compare(settings(("small", "large"), ONE), Collected(scores, runs)).set_index("arm")
    # The A/A differences have mean 0 and standard deviation sqrt(4.8): t(0.975, 5) = 2.571.
    assert table["noise_floor"].to_numpy() == pytest.approx(2.5706 * np.sqrt(4.8 / 6), rel=1e-4)
    assert table.loc["small", "p_holm"] < 0.001 and table.loc["small", "verdict"] == "no difference shown"
    assert table.loc["large", "verdict"] == "better"
    without = Collected(scores[scores["arm"] != "baseline_again"], runs[runs["arm"] != "baseline_again"])
    table = compare(settings(("small", "large"), ONE), without).set_index("arm")
    assert table.loc["large", "verdict"] == "no noise floor, no statement"


@pytest.mark.parametrize(
    ("n_seeds", "verdict"), [(1, "one seed, no statement"), (5, "suggestive: better"), (6, "better")]
)
def test_few_seeds_are_at_most_suggestive(n_seeds, verdict):
    collected = simulated(np.random.default_rng(3), {"arm": 9.0}, n_seeds=n_seeds, measures=ONE)
    table = compare(settings(measures=ONE), collected).set_index("arm")
    assert table.loc["arm", "verdict"] == verdict


def test_what_is_missing_is_said():
    collected = simulated(np.random.default_rng(5), {"arm": 0.0, "third": 0.0}, n_seeds=3)
    runs = collected.runs.assign(code="a", train_seconds=10.0, gpu_seconds=0.0)
    gone = (runs["arm"] == "arm") & (runs["seed"] == 1)
    scores = collected.scores[~((collected.scores["arm"] == "arm") & (collected.scores["seed"] == 1))]
    scores = scores[~((scores["target"] == "t2") & (scores["seed"] == 0) & (scores["arm"] == "baseline"))]
    chosen = settings(("arm", "other"))
    partly = Collected(scores, runs[~gone].assign(code=["b", *["a"] * (len(runs) - 2)]))
    costs = coverage(chosen, partly).set_index("arm")
    assert costs.loc["arm", "n_seeds"] == 2 and costs.loc["arm", "missing_seeds"] == "1"
    assert costs.loc["other", "missing_seeds"] == "0 1 2" and np.isnan(costs.loc["other", "train_seconds"])
    assert costs.loc["arm", "train_seconds"] == 10.0 and np.isnan(costs.loc["arm", "peak_memory_mb"])
    said = " ".join(complaints(chosen, partly))
    for part in ("Not run: other.", "arm (2)", "no arm of voice.ablations: third", "2 versions of the code",
                 "similarity: 1 of 8 evaluation pairs are not in every run"):  # fmt: skip
        assert part in said
    table = compare(chosen, partly)
    assert set(table.loc[table["arm"] == "other", "verdict"]) == {"not run"}
    assert set(table["measure"]) == set(MEASURES)
    report = report_markdown(chosen, table, costs.reset_index(), complaints(chosen, partly))
    assert "No difference is shown." in report and "Not run: other." in report and "noise floor" in report
