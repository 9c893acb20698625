"""The three verdicts, and which side of its threshold a value is known to be on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

Verdict = Literal["pass", "fail", "undecided"]
Interval = Sequence[float | None]
PASS, FAIL, UNDECIDED = "pass", "fail", "undecided"
# How an undecided gate is shown whose judge does not hear, on this corpus, what it is asked about.
CANNOT_BE_JUDGED = "cannot be judged"


def decide(value: float | None, side: str, threshold: float, interval: Interval | None = None) -> Verdict:
    """Return on which side of its threshold a value is known to be.

    Args:
        value: the estimate; None or not finite means that the model gave no number (it diverged), which fails.
        side: ``"below"``: the threshold and what is below it pass; ``"above"``: the threshold and what is above it.
        threshold: finite.
        interval: ``[low, high]`` of the value. With both ends on the right side it passes, with both on the wrong
            side it fails, else it is undecided; so is a value whose interval is unknown (an end that is None or not
            finite: one unit has none). Without an interval the value itself decides.
    """
    number = finite(value)
    if number is None:
        return FAIL
    ends = [number] if interval is None else [finite(end) for end in interval]
    if None in ends:
        return UNDECIDED
    right = [end <= threshold if side == "below" else end >= threshold for end in ends]
    return PASS if all(right) else UNDECIDED if any(right) else FAIL


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on what must pass in every point: the worst of its verdicts; none at all pass."""
    found = set(verdicts)
    return next((verdict for verdict in (FAIL, UNDECIDED) if verdict in found), PASS)


def verdict_text(gate: Mapping) -> str:
    """Return a gate's verdict as it is shown."""
    return CANNOT_BE_JUDGED if "deaf" in gate else gate["verdict"]


def finite(value: float | None) -> float | None:
    """Return a number that JSON can hold; None for one that is missing or not finite."""
    return float(value) if value is not None and math.isfinite(value) else None
