"""Verdicts of Tier 1 on figures that are given."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from soundgate.tracks.structure.dynamics.gates import inject_gates, train_gates

TRAIN = SimpleNamespace(min_gain=0.25, finite=1.0, max_magnitude_ratio=2.0)
INJECT = SimpleNamespace(min_gain=0.25, max_lost=0.5)


def estimate(value, n=9):
    return {"value": value, "ci_low": value, "ci_high": value, "n": n}


def horizon(gain, control=0.0, finite=(1.0, 1.0), ratio=None):
    entry = {"gain": {"gaussian": estimate(gain)}, "gain_mismatched": {"value": control}}
    if ratio is not None:
        models = {"finite": finite[0], "magnitude_ratio": {"value": ratio}}
        entry["rollouts"] = {"vmf_drawn": models, "mean": {"finite": finite[1], "magnitude_ratio": {"value": 99}}}
    return entry


def test_the_gain_is_the_nearest_horizons():
    gates = train_gates({"horizons": {"10": horizon(0.1), "2": horizon(0.25, 0.125)}}, TRAIN)
    assert list(gates) == ["gain"]
    assert (gates["gain"]["value"], gates["gain"]["verdict"], gates["gain"]["control"]) == (0.25, "pass", 0.125)
    assert train_gates({"horizons": {"2": horizon(0.24)}}, TRAIN)["gain"]["verdict"] == "fail"


@pytest.mark.parametrize(
    ("ratios", "worst"), [((0.25, 1.5), 4.0), ((0.5, 2.0), 2.0), ((1.0, 3.0), 3.0), ((1.0, None), None), ((1, 0), None)]
)
def test_the_worst_free_run_counts_whether_it_grows_or_shrinks(ratios, worst):
    horizons = {str(i): horizon(0.5, ratio=ratio) for i, ratio in enumerate(ratios) if ratio is not None}
    if None in ratios:
        horizons["9"] = horizon(0.5, ratio=1.0)
        horizons["9"]["rollouts"]["vmf_drawn"]["magnitude_ratio"]["value"] = None
    gate = train_gates({"horizons": horizons}, TRAIN)["rollout_magnitude"]
    assert gate["value"] == worst
    assert gate["verdict"] == ("pass" if worst is not None and worst <= 2 else "fail")


@pytest.mark.parametrize("place", [0, 1])
def test_one_run_that_diverges_fails(place):
    finite = [1.0, 1.0]
    assert train_gates({"horizons": {"1": horizon(1, ratio=1)}}, TRAIN)["rollouts_finite"]["verdict"] == "pass"
    finite[place] = 0.75
    gate = train_gates({"horizons": {"1": horizon(1, finite=finite, ratio=1)}}, TRAIN)["rollouts_finite"]
    assert (gate["value"], gate["verdict"]) == (0.75, "fail")


def metrics_of(late, lost, put_back=0.125):
    return {
        "teacher_forced_gain": estimate(0.25),
        "teacher_forced_gain_late": estimate(late),
        "lost_late": estimate(lost, n=7),
        "lost_late_put_back": estimate(put_back),
    }


def test_the_loss_is_a_share_of_the_late_gain_beside_that_of_runs_put_back():
    gates = inject_gates(metrics_of(0.5, 0.25), INJECT)
    loss = gates["free_run_loss"]
    assert (loss["value"], loss["control"], loss["n"], loss["verdict"]) == (0.5, 0.25, 7, "pass")
    assert gates["teacher_forced_gain"]["verdict"] == "pass"
    assert inject_gates(metrics_of(0.5, 0.26), INJECT)["free_run_loss"]["verdict"] == "fail"


@pytest.mark.parametrize(("late", "lost"), [(None, 0.1), (0.5, None), (0.0, 0.1), (-0.5, 0.1)])
def test_a_share_of_no_gain_fails(late, lost):
    loss = inject_gates(metrics_of(late, lost), INJECT)["free_run_loss"]
    assert (loss["value"], loss["verdict"]) == (None, "fail")
