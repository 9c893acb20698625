"""Which figure each gate of the voice audit looks at, on which side of which threshold, beside which control."""

from __future__ import annotations

import itertools

import pytest

from soundgate.tracks.voice.audit.gating import conversion_gates, embedding_gates, health_gates, reconstruction_gates
from soundgate.tracks.voice.audit.settings import AuditThresholds

THRESHOLDS = AuditThresholds(
    closer_to_target=0.75, margin=0.125, mel_db=6.0, f0_correlation=0.5, f0_error=2.0, faults_found=0.875,
    false_alarms=0.0625,
)  # fmt: skip
MEASURES = ("closer", "follows", "content_margin", "f0_correlation", "f0_error")
SYSTEMS = ("converted", "identity", "pitch_shift", "target_utterance")


class Figures:
    """Estimates no two of which are the same."""

    def __init__(self):
        self.values = itertools.count(1)

    def __call__(self):
        value = next(self.values) / 64
        return {"value": value, "ci_low": value, "ci_high": value, "n": 9}


def check(gate, estimate, side, threshold, control):
    assert (gate["value"], gate["side"], gate["threshold"]) == (estimate["value"], side, threshold)
    assert gate.get("control") == (None if control is None else control["value"])
    below = estimate["value"] <= threshold
    assert gate["verdict"] == ("pass" if below == (side == "below") or estimate["value"] == threshold else "fail")
    assert (gate["ci_low"], gate["ci_high"], gate["n"]) == (estimate["ci_low"], estimate["ci_high"], 9)


def test_conversions_of_unseen_speakers_are_judged():
    figure = Figures()
    splits = {split: {s: {m: figure() for m in MEASURES} for s in SYSTEMS} for split in ("validation", "test")}
    over = {name: figure() for name in ("pitch_shift", "copy_synthesis", "random_weights")}
    gates = conversion_gates({"systems": splits, "over": over}, THRESHOLDS)
    own, same, target = (splits["test"][name] for name in ("converted", "identity", "target_utterance"))
    expected = {
        "judge_hears_real_targets": (target["closer"], "above", 0.75, same["closer"]),
        "conversion_closer_to_target": (own["closer"], "above", 0.75, same["closer"]),
        "conversion_follows_target": (own["follows"], "above", 0.125, same["follows"]),
        "conversion_over_pitch_shift": (over["pitch_shift"], "above", 0.125, None),
        "content_over_shuffled": (own["content_margin"], "above", 0.125, target["content_margin"]),
        "f0_correlation": (own["f0_correlation"], "above", 0.5, target["f0_correlation"]),
        "f0_error": (own["f0_error"], "below", 2.0, same["f0_error"]),
    }
    assert list(gates) == list(expected)
    for name, demanded in expected.items():
        check(gates[name], *demanded)


def test_reconstructions_are_judged_beside_random_weights():
    figure = Figures()
    methods = {name: {"mel_db": figure()} for name in ("griffin_lim", "random_weights", "copy_synthesis")}
    found = {"reconstruction": methods, "reconstruction_over_random": figure()}
    gates = reconstruction_gates(found, THRESHOLDS)
    own, random = methods["copy_synthesis"]["mel_db"], methods["random_weights"]["mel_db"]
    check(gates["reconstruction_mel_db"], own, "below", 6.0, random)
    check(gates["reconstruction_over_random"], found["reconstruction_over_random"], "above", 0.125, None)


def test_the_monitors_alarms_in_healthy_trainings_are_the_control_of_those_in_others():
    figure = Figures()
    found = {"found": figure(), "false_alarms": figure(), "healthy_runs_with_alarm": figure()}
    gates = health_gates(found, THRESHOLDS)
    check(gates["held_out_faults_found"], found["found"], "above", 0.875, found["healthy_runs_with_alarm"])
    check(gates["held_out_false_alarms"], found["false_alarms"], "below", 0.0625, None)


@pytest.mark.parametrize(("value", "verdict"), [(0.5, "pass"), (0.51, "fail")])
def test_embeddings_are_judged_by_what_their_stage_handed_on(value, verdict):
    number = {"value": value, "side": "below", "threshold": 0.5, "control": 0.9}
    gates = embedding_gates({"gates": {"different": number}})
    assert list(gates) == ["embedding_different"] and gates["embedding_different"]["verdict"] == verdict
