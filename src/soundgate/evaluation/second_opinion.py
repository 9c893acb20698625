"""Two judges' answers to one question, side by side."""

from __future__ import annotations

from collections.abc import Mapping

from soundgate.evaluation.tables import number_cell
from soundgate.evaluation.verdicts import FAIL, PASS, UNDECIDED, Verdict, decide


def above(own: Mapping, threshold: float) -> Verdict:
    """Return whether an estimate (``value``, ``ci_low``, ``ci_high``) lies above a threshold; see `decide`."""
    return decide(own["value"], "above", threshold, (own["ci_low"], own["ci_high"]))


def agreement(first: Verdict, second: Verdict) -> str:
    """Return in words whether two answers are the same; they disagree where one proves what the other disproves."""
    if first != second:
        return "**they disagree**" if {first, second} == {PASS, FAIL} else "one proves nothing"
    return {PASS: "both say so", FAIL: "both deny it", UNDECIDED: "neither proves it"}[first]


def interval_cell(own: Mapping) -> str:
    """Return an estimate with its interval as text."""
    return f"{number_cell(own['value'])} [{number_cell(own['ci_low'])}, {number_cell(own['ci_high'])}]"
