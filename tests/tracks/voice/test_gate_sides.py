"""Which figure each gate of the voice audit looks at, on which side of which threshold, beside which control."""

from __future__ import annotations

import itertools

import pytest

from soundgate.tracks.voice.audit.controlled import controlled_rows
from soundgate.tracks.voice.audit.gating import conversion_gates, embedding_gates, health_gates, reconstruction_gates
from soundgate.tracks.voice.audit.settings import AuditThresholds

THRESHOLDS = AuditThresholds(
    closer_to_target=0.75, margin=0.125, over_baseline=0.25, mel_db=6.0, f0_correlation=0.5, f0_error=2.0,
    faults_found=0.875, false_alarms=0.0625,
)  # fmt: skip
MEASURES = ("similarity_to_target", "closer", "follows", "content_margin", "f0_correlation", "f0_error")
BASELINES = ("world_f0", "world_env", "world_ot", "knn")
SYSTEMS = ("converted", "identity", "pitch_shift", "random_weights", "target_utterance", *BASELINES)


class Figures:
    """Estimates no two of which are the same."""

    def __init__(self):
        self.values = itertools.count(1)

    def __call__(self):
        value = next(self.values) / 64
        return {"value": value, "ci_low": value, "ci_high": value, "n": 9}


def check(gate, estimate, side, threshold, controls):
    assert (gate["value"], gate["side"], gate["threshold"]) == (estimate["value"], side, threshold)
    assert gate["controls"] == controls and gate.get("control") == next(iter(controls.values()), None)
    right = {
        name for name, value in controls.items() if (value <= threshold if side == "below" else value >= threshold)
    }
    assert set(gate["passed_by"]) == right
    below = estimate["value"] <= threshold
    assert gate["verdict"] == ("pass" if below == (side == "below") or estimate["value"] == threshold else "fail")
    assert (gate["ci_low"], gate["ci_high"], gate["n"]) == (estimate["ci_low"], estimate["ci_high"], 9)


def test_conversions_of_unseen_speakers_are_judged_beside_untrained_weights_and_the_best_baseline():
    figure = Figures()
    splits = {split: {s: {m: figure() for m in MEASURES} for s in SYSTEMS} for split in ("validation", "test")}
    over = {name: figure() for name in ("pitch_shift", "copy_synthesis", "random_weights", *BASELINES)}
    gates = conversion_gates({"systems": splits, "over": over}, THRESHOLDS)
    systems = splits["test"]

    def beside(measure, side, *names):
        best = (max if side == "above" else min)(BASELINES, key=lambda name: systems[name][measure]["value"])
        return {name: systems[name][measure]["value"] for name in (*names, "random_weights", best)}

    def over_system(name):
        """The last system has the highest figures."""
        own = {other: systems[other]["similarity_to_target"]["value"] for other in ("random_weights", "knn", name)}
        return {other: own[other] - own[name] for other in ("random_weights", "knn")}

    expected = {
        "judge_hears_real_targets": ("target_utterance", "closer", "above", 0.75, "identity"),
        "conversion_closer_to_target": ("converted", "closer", "above", 0.75, "identity"),
        "conversion_follows_target": ("converted", "follows", "above", 0.125, "identity"),
        "content_over_shuffled": ("converted", "content_margin", "above", 0.125, "target_utterance"),
        "f0_correlation": ("converted", "f0_correlation", "above", 0.5, "target_utterance"),
        "f0_error_held_out": ("converted", "f0_error", "below", 2.0, "identity"),
    }
    for name, (system, measure, side, threshold, control) in expected.items():
        check(gates[name], systems[system][measure], side, threshold, beside(measure, side, control))
    check(gates["conversion_over_pitch_shift"], over["pitch_shift"], "above", 0.125, over_system("pitch_shift"))
    check(gates["conversion_over_best_baseline"], over["knn"], "above", 0.25, over_system("knn"))
    assert set(gates) == {*expected, "conversion_over_pitch_shift", "conversion_over_best_baseline"}


def test_reconstructions_are_judged_beside_random_weights_and_the_best_baseline():
    figure = Figures()
    methods = {name: {"mel_db": figure()} for name in ("griffin_lim", "random_weights", "copy_synthesis", *BASELINES)}
    found = {"reconstruction": methods, "reconstruction_over_random": figure()}
    gates = reconstruction_gates(found, THRESHOLDS)
    value = {name: own["mel_db"]["value"] for name, own in methods.items()}
    beside = {name: value[name] for name in ("random_weights", "world_f0")}
    check(gates["reconstruction_mel_db"], methods["copy_synthesis"]["mel_db"], "below", 6.0, beside)
    nearer = {"world_f0": value["random_weights"] - value["world_f0"]}
    check(gates["reconstruction_over_random"], found["reconstruction_over_random"], "above", 0.125, nearer)


def test_a_figure_that_is_missing_cannot_be_judged_and_says_what_it_needs():
    nothing = {"value": None, "ci_low": None, "ci_high": None, "n": 0}
    systems = {s: {m: {"value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 2} for m in MEASURES} for s in SYSTEMS}
    for own in systems.values():
        own["follows"] = nothing
    over = {name: {"value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 2} for name in ("pitch_shift", *BASELINES)}
    gates = conversion_gates({"systems": {"test": systems}, "over": over}, THRESHOLDS)
    missing = gates["conversion_follows_target"]
    assert missing["verdict"] == "undecided" and "three speakers" in missing["deaf"] and missing["controls"] == {}
    assert not any("deaf" in gate for name, gate in gates.items() if name != "conversion_follows_target")
    table = controlled_rows(gates).set_index("gate")
    assert table.loc["`conversion_follows_target`", ""] == "cannot be judged"
    assert table.loc["`f0_error_held_out`", "controls that pass too"] == "identity, random_weights, world_f0"


def test_the_monitors_alarms_in_healthy_trainings_are_the_control_of_those_in_others():
    figure = Figures()
    found = {"found": figure(), "false_alarms": figure(), "healthy_runs_with_alarm": figure()}
    gates = health_gates(found, THRESHOLDS)
    healthy = {"healthy_trainings": found["healthy_runs_with_alarm"]["value"]}
    check(gates["held_out_faults_found"], found["found"], "above", 0.875, healthy)
    check(gates["held_out_false_alarms"], found["false_alarms"], "below", 0.0625, {})


@pytest.mark.parametrize(("value", "verdict"), [(0.5, "pass"), (0.51, "fail")])
def test_embeddings_are_judged_by_what_their_stage_handed_on(value, verdict):
    number = {"value": value, "side": "below", "threshold": 0.5, "control": 0.9}
    gates = embedding_gates({"gates": {"different": number}})
    assert list(gates) == ["embedding_different"] and gates["embedding_different"]["verdict"] == verdict
    assert gates["embedding_different"]["controls"] == {"random_weights": 0.9}
