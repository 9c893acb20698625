"""The comparison on simulated arms: how often it is wrong, what it finds, what it says of what is missing."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from soundgate.evaluation.multiple import fewest_units, max_t
from soundgate.tracks.voice.ablations.collected import Collected
from soundgate.tracks.voice.ablations.comparison import compare, effect_size, paired
from soundgate.tracks.voice.ablations.coverage import complaints, coverage
from soundgate.tracks.voice.ablations.judges import Check, judges_hear
from soundgate.tracks.voice.ablations.report import report_markdown
from tests.tracks.voice.simulated_arms import MEASURES, heard, settings, simulated

ONE = {"similarity": "higher"}


def test_sign_flips_are_those_counted_by_hand():
    # Of the four flips of (1, 2, 3), up to all signs, one has its mean, itself; of (1, 2, -3), with mean 0, all have.
    # With both, whose signs change together, the largest mean is that of (1, 2, 3) in two of the four.
    found = max_t(np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0], [3.0, -3.0, 0.0]]), np.random.default_rng(0))
    assert found.alone.tolist() == [0.25, 1.0, 1.0] and found.adjusted.tolist() == [0.5, 1.0, 1.0]
    lacking = np.array([[1.0, 5.0, np.nan], [2.0, np.nan, np.nan], [3.0, np.nan, 1.0], [4.0, np.nan, np.nan]])
    found = max_t(lacking, np.random.default_rng(0))
    assert found.alone[0] == 0.125 and np.isnan(found.alone[1:]).all() and np.isnan(found.adjusted[1:]).all()
    assert fewest_units(0.025) == 7 and fewest_units(0.25) == 3


@pytest.mark.parametrize("n", [6, 20])
def test_sign_flips_agree_with_permutation_test_and_the_largest_of_several_with_every_flip(n):
    differences = np.random.default_rng(n).standard_normal((n, 3)) + [0.0, 0.4, 0.8]
    found = max_t(differences, np.random.default_rng(0))
    for column, own in enumerate(differences.T):
        expected = stats.permutation_test(
            (own,), lambda x, axis: np.abs(np.mean(x, axis)), permutation_type="samples", alternative="greater",
            n_resamples=20000, rng=1,
        ).pvalue  # fmt: skip
        assert found.alone[column] == pytest.approx(expected, abs=1e-9 if n == 6 else 0.015)
    assert (found.adjusted >= found.alone).all()
    if n == 6:
        flipped = [np.array(signs)[:, None] * differences for signs in product([1, -1], repeat=n)]
        largest = np.array([np.abs(stats.ttest_1samp(own, 0).statistic).max() for own in flipped])
        observed = np.abs(stats.ttest_1samp(differences, 0).statistic)
        np.testing.assert_allclose(found.adjusted, [(largest >= t - 1e-9).mean() for t in observed])


def test_effect_size_is_that_of_the_textbook():
    # d_z = 3 / sqrt(2.5); Hedges' factor for 4 degrees of freedom is 1 - 3 / 15.
    assert effect_size(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(3 / np.sqrt(2.5) * 0.8)
    assert np.isnan(effect_size(np.array([2.0, 3.0]))) and np.isnan(effect_size(np.array([2.0])))


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


@pytest.mark.parametrize(("n_seeds", "n"), [(8, 300), (15, 100)])
def test_of_arms_that_share_a_baseline_any_is_called_different_in_five_per_cent(n_seeds, n):
    generator = np.random.default_rng(0)
    alone, any_of_five = 0, 0
    for _ in range(n):
        runs = generator.standard_normal((n_seeds, 6)) * [1, 0.1, 1, 1, 3, 3]
        found = max_t(runs[:, 1:] - runs[:, :1], generator)
        alone += found.alone.min() <= 0.05
        any_of_five += found.adjusted.min() <= 0.05
    assert any_of_five <= stats.binom.ppf(0.999, n, 0.05) < alone


def test_a_planted_effect_is_found_with_its_size_and_sign():
    # Four standard deviations of a seed's difference.
    found = {"better": 0, "worse": 0}
    estimates = []
    for simulation in range(20):
        collected = simulated(np.random.default_rng(simulation), {"up": 1.2, "null": 0.0}, n_seeds=10)
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
    generator, seeds = np.random.default_rng(0), np.arange(8)
    shared = generator.normal(0, 1.0, len(seeds))
    rows = [
        {"arm": arm, "seed": seed, "source": "s", "target": "t", "utterance": str(k), "measure": "similarity",
         "value": 3.0 * k + shared[seed] + effect + 0.1 * generator.standard_normal()}
        for arm, effect in (("baseline", 0.0), ("baseline_again", 0.0), ("arm", 0.3))
        for seed in seeds
        for k in range(8)
    ]  # fmt: skip
    scores = pd.DataFrame(rows)
    table = compare(settings(measures=ONE), Collected(scores, heard(scores[["arm", "seed"]].drop_duplicates(), ONE)))
    assert table.set_index("arm").loc["arm", "verdict"] == "better"
    by_run = scores.groupby(["arm", "seed"])["value"].mean()
    assert stats.ttest_ind(by_run["arm"], by_run["baseline"]).pvalue > 0.1


def test_pairs_and_seeds_are_matched_by_name_not_by_order():
    collected = simulated(np.random.default_rng(1), {"arm": 0.7})
    shuffled = collected.scores.sample(frac=1, random_state=0)
    lost = shuffled[~((shuffled["arm"] == "baseline") & (shuffled["seed"] == 2))]
    lost = lost[~((lost["arm"] == "arm") & (lost["seed"] == 4) & (lost["target"] == "t3"))]
    values = paired(lost, "arm", settings(), "similarity")
    assert values.arm.shape == values.again.shape == (7, 7) and values.seeds == (0, 1, 3, 4, 5, 6, 7)
    own = collected.scores[collected.scores["measure"] == "similarity"].set_index(["arm", "seed", "target"])["value"]
    expected = [
        np.mean([own["arm", seed, f"t{k}"] - own["baseline", seed, f"t{k}"] for k in range(8) if k != 3])
        for seed in values.seeds
    ]
    np.testing.assert_allclose(values.by_seed, expected)


def by_values(**values):
    """Return runs of one pair from the arms' values by seed."""
    scores = pd.DataFrame(
        [
            {"arm": arm, "seed": seed, "source": "s", "target": "t", "utterance": "u", "measure": "similarity",
             "value": float(value)}
            for arm, own in values.items()
            for seed, value in enumerate(own)
        ]
    )  # fmt: skip
    return Collected(scores, heard(scores[["arm", "seed"]].drop_duplicates(), ONE))


def test_the_noise_floor_is_paired_as_the_arm_is():
    near, far = np.array([5.0, 5.1, 4.9, 5.0, 5.1, 4.9, 5.0, 5.0]), np.array([9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0])
    again = np.array([3.0, -1.0, 2.0, -2.0, 2.0, -2.0, 2.0, 0.0])
    collected = by_values(baseline=np.zeros(8), baseline_again=again, near=near, far=far)
    table = compare(settings(("near", "far"), ONE), collected).set_index("arm")
    t = stats.ttest_1samp(again, 0).statistic
    for arm, own in (("near", near), ("far", far)):
        assert table.loc[arm, "noise_floor"] == pytest.approx(t * stats.sem(own))
        assert table.loc[arm, "verdict"] == "better" and table.loc[arm, "p_adjusted"] == 1 / 128
    assert table.loc["baseline_again", "noise_floor"] == pytest.approx(again.mean())


def test_what_exceeds_p_but_not_the_noise_floor_is_no_difference():
    again, arm = np.array([5.0, 5.1, 4.9, 5.0, 5.1, 4.9, 5.0, 5.0]), np.array([9.0, 1, 8, 2, 7, 3, 6, 4])
    collected = by_values(baseline=np.zeros(8), baseline_again=again, arm=arm)
    table = compare(settings(measures=ONE), collected)
    found = table.set_index("arm").loc["arm"]
    assert found["p_adjusted"] < 0.01 and found["verdict"] == "no difference shown"
    costs = coverage(settings(measures=ONE), collected)
    assert "differs from itself (A/A) on similarity" in report_markdown(settings(measures=ONE), table, costs, [])
    without = collected._replace(scores=collected.scores[collected.scores["arm"] != "baseline_again"])
    table = compare(settings(measures=ONE), without).set_index("arm")
    assert table.loc["arm", "verdict"] == "no noise floor, no statement"


@pytest.mark.parametrize(("n_seeds", "verdict"), [(1, "too few seeds"), (5, "too few seeds"), (6, "better")])
def test_few_seeds_show_nothing(n_seeds, verdict):
    collected = simulated(np.random.default_rng(3), {"arm": 9.0}, n_seeds=n_seeds, measures=ONE)
    table = compare(settings(measures=ONE), collected).set_index("arm")
    assert table.loc["arm", "verdict"] == verdict
    said = " ".join(complaints(settings(measures=ONE), collected))
    assert (f"Fewer than 6 seeds, so nothing can be shown: baseline ({n_seeds})" in said) == (n_seeds < 6)


def test_only_endpoints_have_verdicts_and_they_share_alpha():
    collected = simulated(np.random.default_rng(3), {"arm": 9.0}, n_seeds=7)
    one, both = (
        compare(chosen, collected).set_index(["arm", "measure"]).loc["arm"]
        for chosen in (settings(endpoints=("similarity",)), settings())
    )
    assert one["verdict"].tolist() == ["better", "secondary"] and one["role"].tolist() == ["primary", "secondary"]
    assert np.isnan(one.loc["mel_db", ["p", "p_adjusted"]].astype(float)).all() and one["ci_low"].notna().all()
    assert both["verdict"].tolist() == ["better", "worse"]
    assert one.loc["similarity", "p_adjusted"] == 1 / 64 and both.loc["similarity", "p_adjusted"] == 2 / 64
    with pytest.raises(ValueError, match="stand in measures"):
        settings(endpoints=("loss",))


@pytest.mark.parametrize(
    ("judges", "said"),
    [
        ({"similarity": {"hears": False}}, "its judge does not hear the difference between real recordings"),
        ({}, "not every run says whether its judge hears"),
        (None, "not every run says whether its judge hears"),
    ],
)
def test_a_judge_that_does_not_hear_real_recordings_gives_no_verdict(judges, said):
    collected = simulated(np.random.default_rng(3), {"arm": 9.0}, measures=ONE)
    deaf = collected._replace(runs=collected.runs.assign(judges=[judges] * len(collected.runs)))
    table = compare(settings(measures=ONE), deaf).set_index("arm")
    assert table.loc["arm", "verdict"] == "cannot be judged"
    assert f"similarity: cannot be judged, {said}" in " ".join(complaints(settings(measures=ONE), deaf))
    without = collected._replace(runs=collected.runs.drop(columns="judges"))
    assert compare(settings(measures=ONE), without).set_index("arm").loc["arm", "verdict"] == "cannot be judged"


def test_a_judge_hears_what_is_surely_over_chance():
    audit = {"systems": {"test": {"real": {"closer": {"value": 1.0, "ci_low": None, "ci_high": None, "n": 1}}}}}
    check = {"similarity": Check("test", "real", "closer", 0.5)}
    assert not judges_hear(audit, check)["similarity"]["hears"]
    for low, hears in ((0.4, False), (0.5, False), (0.6, True)):
        audit["systems"]["test"]["real"]["closer"]["ci_low"] = low
        assert judges_hear(audit, check)["similarity"]["hears"] is hears


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
