"""Exit gates: metrics and thresholds in, verdicts out. Nothing here reads or writes a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from soundgate.evaluation.statistics import Estimate
from soundgate.evaluation.verdicts import FAIL, PASS, UNDECIDED, Interval, decide, finite
from soundgate.runtime.errors import GateError


@dataclass(frozen=True)
class Gate:
    """A threshold that a metric must keep to.

    Attributes:
        name: unique within a track.
        metric: dotted path of the value among the metrics, e.g. ``"sound.gain.value"``.
        side: ``"below"``: pass at or below the threshold; ``"above"``: pass at or above it.
        threshold: finite.
        interval: dotted path of the value's ``[low, high]`` 95 % interval; None where it has none.
        n: dotted path of the number of independent units behind the value; None where it is no estimate.
    """

    name: str
    metric: str
    side: Literal["below", "above"]
    threshold: float
    interval: str | None = None
    n: str | None = None


def verdict(
    value: float | None,
    side: str,
    threshold: float,
    interval: Interval | None = None,
    n: int | None = None,
    control: float | None = None,
) -> dict[str, float | int | str | None]:
    """Hold one value against one threshold.

    Args:
        value: the estimate; see `decide`.
        side: ``"below"`` or ``"above"``.
        threshold: finite.
        interval: ``[low, high]`` of the value; see `decide`.
        n: independent units behind the value.
        control: what a broken model, or none, would have; it decides nothing.

    Returns:
        ``value``, ``side``, ``threshold``, ``margin`` (how far the value is on the right side, in its own unit),
        ``verdict``, and ``ci_low``, ``ci_high``, ``n``, ``control`` where given. A value that is not finite is None,
        and so is its margin: JSON has no NaN.

    Raises:
        GateError: an unknown side or a threshold that is not finite.
    """
    if side not in ("below", "above"):
        raise GateError("side", expected="below or above", found=repr(side))
    if not math.isfinite(threshold):
        raise GateError("threshold", expected="a finite number", found=repr(threshold))
    number = finite(value)
    margin = None
    if number is not None:
        margin = threshold - number if side == "below" else number - threshold
    result = {
        "value": number,
        "side": side,
        "threshold": float(threshold),
        "margin": margin,
        "verdict": decide(value, side, threshold, interval),
    }
    if interval is not None:
        low, high = interval
        result |= {"ci_low": finite(low), "ci_high": finite(high)}
    if n is not None:
        result["n"] = int(n)
    if control is not None:
        result["control"] = finite(control)
    return result


def gated(
    estimate: Estimate | float | None, side: Literal["above", "below"], threshold: float, control: float | None = None
) -> dict:
    """Return a number with its threshold: how a stage hands it on to the one that judges it.

    Args:
        estimate: the value, with its interval where it is an estimate.
        side: ``above``: passes at or above the threshold; ``below``: at or below.
        threshold: of the gate.
        control: what a broken model would have.

    Returns:
        ``value``, ``side``, ``threshold`` and, where they are known, ``ci_low``, ``ci_high``, ``n``, ``control``.
    """
    known = estimate.as_dict() if isinstance(estimate, Estimate) else {"value": estimate}
    limits = {"side": side, "threshold": threshold}
    return known | limits | ({} if control is None else {"control": control})


def judge_gated(number: Mapping) -> dict[str, float | int | str | None]:
    """Hold what `gated` returned against its threshold; see `verdict`.

    A number may say that its judge is ``deaf``, and to what: then the gate cannot be judged, whatever the value.
    """
    interval = (number["ci_low"], number["ci_high"]) if "ci_low" in number else None
    given = verdict(
        number["value"], number["side"], number["threshold"], interval, number.get("n"), number.get("control")
    )
    return given | ({"verdict": UNDECIDED, "deaf": number["deaf"]} if "deaf" in number else {})


def judge(metrics: Mapping, gates: Sequence[Gate]) -> dict[str, dict]:
    """Hold a track's metrics against its gates.

    Args:
        metrics: nested mapping of numbers.
        gates: with distinct names.

    Returns:
        Verdict by gate name, in the order of ``gates``; see ``verdict``.

    Raises:
        GateError: a gate names a metric that is not there (a value that is NaN is there, and fails), the
            value is not a number, or two gates share a name.
    """
    verdicts: dict[str, dict] = {}
    for gate in gates:
        if gate.name in verdicts:
            raise GateError(gate.name, expected="one gate of this name", found="two")
        value = _lookup(metrics, gate.metric, gate.name)
        if value is not None and not isinstance(value, int | float):
            raise GateError(gate.name, expected=f"a number at {gate.metric}", found=repr(value))
        interval = None if gate.interval is None else _lookup(metrics, gate.interval, gate.name)
        n = None if gate.n is None else _lookup(metrics, gate.n, gate.name)
        verdicts[gate.name] = verdict(value, gate.side, gate.threshold, interval, n)
    return verdicts


def count_verdicts(gates: Mapping[str, Mapping]) -> dict[str, float | int | None]:
    """Count a track's verdicts.

    Args:
        gates: verdicts by gate; see `verdict`.

    Returns:
        ``gates``, ``passed``, ``failed``, ``undecided``, and ``worst_margin``: the smallest margin, in the unit of its
        gate, to four digits; None where a gate has no value.

    Raises:
        GateError: there is no gate.
    """
    if not gates:
        raise GateError("gates", expected="at least one gate", found="none")
    given = [gate["verdict"] for gate in gates.values()]
    margins = [gate["margin"] for gate in gates.values()]
    counts = {"passed": PASS, "failed": FAIL, "undecided": UNDECIDED}
    return (
        {"gates": len(given)}
        | {name: given.count(verdict) for name, verdict in counts.items()}
        | {"worst_margin": None if None in margins else float(f"{min(margins):.4g}")}
    )


def _lookup(metrics: Mapping, dotted: str, gate: str) -> object:
    value: object = metrics
    for key in dotted.split("."):
        if not isinstance(value, Mapping) or key not in value:
            found = f"no {key!r} among {', '.join(map(str, value))}" if isinstance(value, Mapping) else repr(value)
            raise GateError(gate, expected=f"a metric {dotted}", found=found)
        value = value[key]
    return value
