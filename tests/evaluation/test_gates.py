import json
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundgate.evaluation.gates import Gate, count_verdicts, gated, judge, judge_gated, verdict
from soundgate.evaluation.spread import spread_of, with_spread
from soundgate.evaluation.statistics import Estimate
from soundgate.evaluation.tables import gate_cell, gate_rows, gates_overview, markdown_table, rounded
from soundgate.evaluation.verdicts import overall
from soundgate.runtime.errors import GateError

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(FINITE, FINITE, st.sampled_from(["below", "above"]))
def test_without_an_interval_the_margin_is_not_negative_exactly_where_the_gate_passes(value, threshold, side):
    result = verdict(value, side, threshold)
    assert result["verdict"] == ("pass" if result["margin"] >= 0 else "fail")
    assert (result["verdict"] == "pass") == (value <= threshold if side == "below" else value >= threshold)


@given(st.lists(FINITE, min_size=4, max_size=4), st.sampled_from(["below", "above"]))
def test_an_interval_decides_as_its_worst_point_does_or_not_at_all(numbers, side):
    low, value, high = sorted(numbers[:3])
    threshold = numbers[3]
    ends = {verdict(end, side, threshold)["verdict"] for end in (low, high)}
    found = verdict(value, side, threshold, interval=(low, high))["verdict"]
    assert found == (ends.pop() if len(ends) == 1 else "undecided")


@pytest.mark.parametrize(
    ("value", "side", "margin", "expected"),
    [
        (0.5, "below", 0.1, "pass"),
        (0.6, "below", 0.0, "pass"),
        (0.7, "below", -0.1, "fail"),
        (0.7, "above", 0.1, "pass"),
        (0.5, "above", -0.1, "fail"),
    ],
)
def test_known_margins(value, side, margin, expected):
    result = verdict(value, side, 0.6)
    assert result["margin"] == pytest.approx(margin)
    assert result["verdict"] == expected


@pytest.mark.parametrize(
    ("side", "interval", "expected"),
    [
        ("above", (0.6, 0.8), "pass"),
        ("above", (0.59, 0.8), "undecided"),
        ("above", (0.4, 0.6), "undecided"),
        ("above", (0.4, 0.59), "fail"),
        ("below", (0.4, 0.6), "pass"),
        ("below", (0.4, 0.61), "undecided"),
        ("below", (0.61, 0.8), "fail"),
        ("above", (None, 0.8), "undecided"),
        ("below", (0.1, math.nan), "undecided"),
        ("above", (0.6, 0.6), "pass"),
    ],
)
def test_the_whole_interval_decides_and_the_value_shown_is_the_estimate(side, interval, expected):
    result = verdict(0.65, side, 0.6, interval)
    assert (result["verdict"], result["value"]) == (expected, 0.65)


def test_what_needs_every_verdict_has_the_worst_of_them():
    assert overall(["pass", "undecided", "fail"]) == "fail"
    assert overall(["pass", "undecided"]) == "undecided"
    assert overall(["pass"]) == overall([]) == "pass"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
@pytest.mark.parametrize("side", ["below", "above"])
def test_a_value_that_is_no_number_fails_and_stays_writable(value, side):
    result = verdict(value, side, 0.6, interval=(math.nan, 1.0), n=4)
    assert (result["value"], result["margin"], result["verdict"], result["ci_low"]) == (None, None, "fail", None)
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize(("side", "threshold"), [("under", 0.6), ("below", math.nan), ("above", math.inf)])
def test_a_gate_that_makes_no_sense_is_refused(side, threshold):
    with pytest.raises(GateError):
        verdict(0.5, side, threshold)


def test_judging_reads_values_intervals_and_counts_by_path():
    metrics = {"a": {"gain": 0.4, "ci": [0.3, 0.5]}, "n_speakers": 24, "works": True}
    gates = [
        Gate("gain", "a.gain", "above", 0.3, interval="a.ci", n="n_speakers"),
        Gate("works", "works", "above", 1.0),
    ]
    verdicts = judge(metrics, gates)
    assert list(verdicts) == ["gain", "works"]
    assert verdicts["gain"] == {
        "value": 0.4, "side": "above", "threshold": 0.3, "margin": pytest.approx(0.1), "verdict": "pass",
        "ci_low": 0.3, "ci_high": 0.5, "n": 24,
    }  # fmt: skip
    assert verdicts["works"] == {"value": 1.0, "side": "above", "threshold": 1.0, "margin": 0.0, "verdict": "pass"}


@pytest.mark.parametrize(
    "gates",
    [
        [Gate("x", "a.gian", "above", 0)],
        [Gate("x", "a.gain.deeper", "above", 0)],
        [Gate("x", "label", "above", 0)],
        [Gate("x", "a.gain", "above", 0, n="n")],
        [Gate("x", "a.gain", "above", 0), Gate("x", "a.gain", "below", 0)],
    ],
)
def test_a_metric_that_is_missing_or_no_number_is_an_error_not_a_verdict(gates):
    with pytest.raises(GateError, match=r"^x: "):
        judge({"a": {"gain": 0.4}, "label": "good"}, gates)


def test_a_track_is_counted_in_few_short_numbers():
    gates = {
        "good": verdict(1 / 3, "above", 0),
        "bad": verdict(-1 / 3, "above", 0),
        "open": verdict(0.1, "above", 0, interval=(-1, 1)),
    }
    assert count_verdicts(gates) == {"gates": 3, "passed": 1, "failed": 1, "undecided": 1, "worst_margin": -0.3333}
    assert count_verdicts(gates | {"diverged": verdict(None, "below", 0)})["worst_margin"] is None
    with pytest.raises(GateError, match="at least one gate"):
        count_verdicts({})


def test_reports_name_what_fails_and_what_is_undecided():
    gates = {
        "good": verdict(1, "above", 0),
        "open": verdict(0.1, "above", 0, (-1, 1), 4),
        "bad": verdict(-1, "above", 0),
    }
    text = "\n".join(gates_overview(gates))
    assert text.startswith("1 of 3 gates pass.")
    assert text.index("Failed:") < text.index("`bad`") < text.index("Undecided:") < text.index("`open`: 0.100 [-1.000")
    assert gates_overview({"good": gates["good"]}) == ["1 of 1 gates pass."]
    assert list(gate_rows(gates)[""]) == ["pass", "undecided", "**FAIL**"]


def test_a_gated_number_is_judged_by_its_interval_and_keeps_count_and_control():
    sure = gated(Estimate(0.8, 0.7, 0.9, 12), "above", 0.6, control=0.1)
    assert sure == {
        "value": 0.8,
        "ci_low": 0.7,
        "ci_high": 0.9,
        "n": 12,
        "side": "above",
        "threshold": 0.6,
        "control": 0.1,
    }
    found = judge_gated(sure)
    assert (found["verdict"], found["ci_low"], found["ci_high"]) == ("pass", 0.7, 0.9)
    assert (found["n"], found["control"], found["margin"]) == (12, 0.1, pytest.approx(0.2))
    assert judge_gated(gated(Estimate(0.8, 0.5, 0.9, 12), "above", 0.6))["verdict"] == "undecided"
    bare = judge_gated(gated(0.8, "below", 0.6))
    assert bare["verdict"] == "fail" and not {"ci_low", "ci_high", "n", "control"} & set(bare)


def test_a_gate_whose_judge_is_deaf_cannot_be_judged_whatever_its_value():
    for value in (0.8, 0.2, None):
        gate = judge_gated(gated(value, "above", 0.6) | {"deaf": "difference between two voices"})
        assert gate["verdict"] == "undecided" and gate["deaf"] == "difference between two voices"
        assert with_spread(gate, spread_of([0.8, 0.81, 0.79]))["verdict"] == "undecided"
        assert count_verdicts({"a": gate})["undecided"] == 1
        assert list(gate_rows({"a": gate})[""]) == ["cannot be judged"]
        assert "cannot be judged: the judge does not hear the difference" in "\n".join(gates_overview({"a": gate}))


def test_tables_are_markdown_with_numbers_of_three_places():
    table = rounded(pd.DataFrame({"a": ["x", "y"], "b": [0.12345, float("nan")], "c": [1, 2]}))
    assert markdown_table(table) == "| a | b | c |\n| --- | --- | --- |\n| x | 0.123 | 1 |\n| y | none | 2 |"


def test_a_cell_shows_value_interval_count_and_on_which_side_the_threshold_lies():
    assert gate_cell(verdict(0.5, "below", 0.6)) == "0.500, needs ≤ 0.6"
    assert gate_cell(verdict(0.5, "above", 0.6, (0.4, 0.7), 9)) == "0.500 [0.400, 0.700], n = 9, needs ≥ 0.6"
    assert gate_cell(verdict(None, "above", 0.6)) == "none, needs ≥ 0.6"
