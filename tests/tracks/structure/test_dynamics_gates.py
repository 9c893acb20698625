"""Verdicts of Tier 1 on figures that are given."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from soundgate.tracks.structure.dynamics.gates import inject_gates, train_gates

TRAIN = SimpleNamespace(min_gain=0.125)
INJECT = SimpleNamespace(min_gain=0.125, max_excess=0.25, min_skill=0.125, finite=1.0)


def estimate(value, half=0.0, n=9):
    return {"value": value, "ci_low": value - half, "ci_high": value + half, "n": n}


def horizon(linear=1.0, untrained=1.0, context=1.0, half=0.0, bare=0.0):
    return {
        "gain": {"linear": estimate(linear, half), "untrained": estimate(untrained, half), "gaussian": estimate(99.0)},
        "gain_over_mismatched": estimate(context, half),
        "mismatched_over_linear": estimate(bare),
    }


def verdicts(gates):
    return {name: gate["verdict"] for name, gate in gates.items()}


def test_every_horizon_is_held_against_the_better_linear_model():
    gates = train_gates({"horizons": {"10": horizon(0.5, 0.25, bare=-2.0), "2": horizon(0.125, 0.5)}}, TRAIN)
    assert list(gates) == [
        "gain_over_linear_2", "gain_over_mismatched_2", "gain_over_linear_10", "gain_over_mismatched_10"
    ]  # fmt: skip
    assert [gates[f"gain_over_linear_{k}"]["value"] for k in (2, 10)] == [0.125, 0.25]
    assert set(verdicts(gates).values()) == {"pass"}
    assert gates["gain_over_linear_10"]["control"] == -2.0 and gates["gain_over_mismatched_10"]["control"] == 0.0


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        # Saves much over a Gaussian, and loses to the linear model: in either family.
        (horizon(linear=-0.25), ("fail", "pass")),
        (horizon(untrained=-0.25), ("fail", "pass")),
        # The linear model in the network's place.
        (horizon(linear=0.0, untrained=0.0), ("fail", "pass")),
        # A model that takes no notice of its context.
        (horizon(context=0.0), ("pass", "fail")),
        (horizon(linear=0.25, context=0.25, half=0.25), ("undecided", "undecided")),
    ],
)
def test_what_loses_to_its_linear_baseline_or_ignores_its_context_does_not_pass(entry, expected):
    assert tuple(verdicts(train_gates({"horizons": {"1": entry}}, TRAIN)).values()) == expected


def metrics_of(linear=0.5, excess=0.0, skill=0.5, finite=1.0, half=0.0, undrawn=2.0):
    far = {"excess": estimate(excess, half), "excess_undrawn": estimate(undrawn), "over_still": estimate(skill, half)}
    near = {"excess": estimate(9.0), "excess_undrawn": estimate(9.0), "over_still": estimate(-9.0)}
    return {"gain_over_linear": estimate(linear), "finite": finite, "ensembles": {"4": near, "16": far}}


def test_free_runs_are_judged_at_the_farthest_horizon():
    gates = inject_gates(metrics_of(), INJECT)
    assert set(verdicts(gates).values()) == {"pass"} and len(gates) == 4
    assert gates["free_run_excess"]["value"] == 0.0 and gates["free_run_excess"]["control"] == 2.0


@pytest.mark.parametrize(
    ("change", "name", "expected"),
    [
        ({"linear": -0.5}, "teacher_forced_gain_over_linear", "fail"),
        ({"excess": 0.5}, "free_run_excess", "fail"),
        ({"excess": 0.25}, "free_run_excess", "pass"),
        ({"excess": 0.25, "half": 0.125}, "free_run_excess", "undecided"),
        ({"skill": 0.0}, "free_run_over_still", "fail"),
        ({"skill": 0.125}, "free_run_over_still", "pass"),
        ({"finite": 0.75}, "free_runs_finite", "fail"),
    ],
)
def test_each_gate_of_free_runs_has_its_limit(change, name, expected):
    assert verdicts(inject_gates(metrics_of(**change), INJECT))[name] == expected
