from __future__ import annotations

import copy

import pytest

from soundgate.tracks.structure.decision import decide, gate_verdicts, leading_condition


def estimate(value: float, low: float, n: int = 5) -> dict:
    return {"value": value, "ci_low": low, "ci_high": 2 * value - low, "n": n}


NOTHING = {"value": None, "ci_low": None, "ci_high": None, "n": 5}


def metrics_of(conditions: dict, detectable: float | None = 0.005, ceiling: dict | None = None) -> dict:
    return {"conditions": conditions, "detectable_gain": detectable, "probability": 0.8, "ceiling": ceiling}


def lag_entry(ratio: float, gain: float) -> dict:
    return {
        "seed": {
            "variance_ratio_train": {"all": ratio, "high_energy": ratio, "medial": ratio},
            "excluded_train": 0.0,
            "degradation": 0.1,
        },
        "sound": {
            "gain_new": {
                "innovation": estimate(gain, gain - 0.01),
                "deconfounded": estimate(gain, gain - 0.01),
            },
            "p_swap": 0.01,
            "p_surrogate": 0.04,
            "p_iaaft": 0.04,
            "degradation": estimate(0.1, 0.05),
        },
    }


def good() -> dict:
    return {
        "lags": {"1": lag_entry(0.5, 0.1), "2": lag_entry(0.6, 0.08)},
        "random": {"variance_ratio_train": 0.99},
    }


def with_value(path: str, value) -> dict:
    condition = copy.deepcopy(good())
    at = condition
    *parents, last = path.split("/")
    for key in parents:
        at = at[key]
    at[last] = value
    return condition


def test_a_condition_that_keeps_everything_passes_both(thresholds):
    decision = decide(metrics_of({"c": good()}), thresholds)
    for name in ("seed", "sound"):
        assert decision[name]["verdict"] == "pass" and decision[name]["passing_conditions"] == ["c"]
        assert decision[name]["first_failed"] == {"c": None}


@pytest.mark.parametrize(
    ("path", "value", "which", "criterion", "verdict"),
    [
        ("lags/1/seed/variance_ratio_train/all", 0.61, "seed", "variance_ratio", "fail"),
        ("lags/1/seed/excluded_train", 0.11, "seed", "excluded_mass", "fail"),
        ("lags/1/seed/degradation", 0.21, "seed", "cross_speaker_degradation", "fail"),
        ("lags/1/seed/variance_ratio_train/medial", 0.66, "seed", "slice_medial", "fail"),
        ("lags/2/seed/variance_ratio_train/all", 0.66, "seed", "persistence_lag_2", "fail"),
        ("random/variance_ratio_train", 0.94, "seed", "random_baseline", "fail"),
        ("random/variance_ratio_train", 1.06, "seed", "random_baseline", "fail"),
        ("random/variance_ratio_train", None, "seed", "random_baseline", "fail"),
        ("lags/1/sound/gain_new/innovation/ci_low", 0.009, "sound", "gain", "undecided"),
        ("lags/1/sound/gain_new/innovation/ci_low", None, "sound", "gain", "undecided"),
        ("lags/1/sound/p_swap", 0.06, "sound", "p_swap", "fail"),
        ("lags/1/sound/p_surrogate", 0.06, "sound", "p_surrogate", "fail"),
        ("lags/1/sound/p_iaaft", 0.06, "sound", "p_iaaft", "fail"),
        ("lags/1/sound/degradation", estimate(0.4, 0.21), "sound", "loss_on_new_speakers", "fail"),
        ("lags/1/sound/degradation", estimate(0.1, -0.2), "sound", "loss_on_new_speakers", "undecided"),
        ("lags/1/sound/degradation", estimate(-0.21, -9.0), "sound", "loss_on_new_speakers", "undecided"),
        ("lags/1/sound/degradation", NOTHING, "sound", "loss_on_new_speakers", "undecided"),
        ("lags/1/sound/gain_new/deconfounded/ci_low", 0.0, "sound", "gain_without_confounds", "undecided"),
    ],
)
def test_each_criterion_decides_its_decision_and_no_other(path, value, which, criterion, verdict, thresholds):
    decision = decide(metrics_of({"c": with_value(path, value)}), thresholds)
    other = {"seed": "sound", "sound": "seed"}[which]
    assert decision[which]["verdict"] == verdict and decision[which]["first_failed"]["c"] == criterion
    assert decision[which]["criteria"]["c"][criterion]["verdict"] == verdict
    assert decision[other]["verdict"] == "pass"


def test_one_passing_condition_is_enough_and_leads(thresholds):
    bad = with_value("lags/1/sound/gain_new/innovation/ci_low", -0.1)
    decision = decide(metrics_of({"bad": bad, "good": good()}), thresholds)["sound"]
    assert decision["verdict"] == "pass" and decision["passing_conditions"] == ["good"]
    assert leading_condition(decision) == "good"


def test_among_failing_conditions_the_one_with_more_criteria_leads_then_the_nearer(thresholds):
    near, far, none = (
        with_value("lags/1/sound/gain_new/innovation", {"value": value, "ci_low": low, "ci_high": high, "n": 5})
        for value, low, high in ((0.006, 0.005, 0.007), (-0.1, -0.2, 0.0), (None, None, None))
    )
    decision = decide(metrics_of({"none": none, "far": far, "near": near}), thresholds)["sound"]
    assert leading_condition(decision) == "near" and decision["verdict"] == "fail"


def test_a_decision_is_undecided_where_a_condition_misses_but_fails_nothing(thresholds):
    unsure = with_value("lags/1/sound/gain_new/innovation/ci_low", 0.005)
    failed = with_value("lags/1/sound/p_swap", 0.06)
    decision = decide(metrics_of({"failed": failed, "unsure": unsure}), thresholds)["sound"]
    assert decision["verdict"] == "undecided" and decision["passing_conditions"] == []


def test_gates_are_the_leading_conditions_criteria_with_margins(thresholds):
    gates = gate_verdicts(decide(metrics_of({"c": good()}), thresholds))
    gain = gates["sound.gain"]
    assert gain["margin"] == pytest.approx(0.1 - 0.01) and gain["verdict"] == "pass"
    assert gain["condition"] == "c" and gain["n"] == 5 and gain["value"] == pytest.approx(0.1)
    assert gates["seed.variance_ratio"]["margin"] == pytest.approx(0.1)


def test_without_surrogates_their_criterion_is_left_out(thresholds):
    decision = decide(metrics_of({"c": with_value("lags/1/sound/p_surrogate", None)}), thresholds)
    assert "p_surrogate" not in decision["sound"]["criteria"]["c"]


def hopeless() -> dict:
    return with_value("lags/1/sound/gain_new/innovation", {"value": 0.0, "ci_low": -0.001, "ci_high": 0.001, "n": 5})


@pytest.mark.parametrize(
    ("detectable", "ceiling", "verdict", "words"),
    [
        (0.01, None, "fail", []),
        (0.02, None, "undecided", ["only a gain of 0.02 or more"]),
        (None, None, "undecided", ["none of the gains planted"]),
        (0.01, (0.015, 0.02, 0.025), "undecided", ["these tables do not hold it"]),
        (0.01, (-0.001, 0.02, 0.05), "fail", []),  # Not surely above the conditions.
        (0.01, (0.002, 0.003, 0.004), "fail", []),  # Surely there, surely too small to be of use.
        (0.02, (0.015, 0.02, 0.025), "undecided", ["only a gain", "do not hold it"]),
    ],
)
def test_a_failure_stands_only_where_the_effect_would_have_been_found(detectable, ceiling, verdict, words, thresholds):
    known = None if ceiling is None else dict(zip(("ci_low", "value", "ci_high"), ceiling, strict=True)) | {"n": 5}
    decision = decide(metrics_of({"c": hopeless()}, detectable, known), thresholds)["sound"]
    assert decision["verdict"] == verdict and decision["detectable_gain"] == detectable
    assert len(decision["reasons"]) == len(words)
    assert all(word in reason for word, reason in zip(words, decision["reasons"], strict=True))


def test_little_power_neither_undoes_a_pass_nor_excuses_a_gain_that_was_found(thresholds):
    assert decide(metrics_of({"c": good()}, None), thresholds)["sound"]["verdict"] == "pass"
    confounded = with_value("lags/1/sound/gain_new/deconfounded", estimate(0.0, -0.001))
    decision = decide(metrics_of({"c": confounded}, None), thresholds)["sound"]
    assert decision["verdict"] == "fail" and not decision["reasons"]
