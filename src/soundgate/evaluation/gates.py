"""Exit gates: metrics and thresholds in, verdicts out. Nothing here reads or writes a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from soundgate.evaluation.statistics import Estimate
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
    interval: Sequence[float] | None = None,
    n: int | None = None,
    control: float | None = None,
) -> dict[str, float | int | str | None]:
    """Hold one value against one threshold.

    Args:
        value: the metric; None or not finite means that the model gave no number (it diverged), which fails.
        side: ``"below"`` or ``"above"``.
        threshold: finite.
        interval: ``[low, high]`` of the value.
        n: independent units behind the value.
        control: what a broken model, or none, would have; it decides nothing.

    Returns:
        ``value``, ``side``, ``threshold``, ``margin`` (>= 0 exactly where the gate passes, in the unit of the
        value), ``pass`` (0 or 1), and ``ci_low``, ``ci_high``, ``n``, ``control`` where given. A value that is not
        finite is None, and so is its margin: JSON has no NaN.

    Raises:
        GateError: an unknown side or a threshold that is not finite.
    """
    if side not in ("below", "above"):
        raise GateError("side", expected="below or above", found=repr(side))
    if not math.isfinite(threshold):
        raise GateError("threshold", expected="a finite number", found=repr(threshold))
    number = _finite(value)
    margin = None
    if number is not None:
        margin = threshold - number if side == "below" else number - threshold
    result = {
        "value": number,
        "side": side,
        "threshold": float(threshold),
        "margin": margin,
        "pass": int(margin is not None and margin >= 0),
    }
    if interval is not None:
        low, high = interval
        result |= {"ci_low": _finite(low), "ci_high": _finite(high)}
    if n is not None:
        result["n"] = int(n)
    if control is not None:
        result["control"] = _finite(control)
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
    """Hold what `gated` returned against its threshold; see `verdict`."""
    interval = (number["ci_low"], number["ci_high"]) if "ci_low" in number else None
    return verdict(
        number["value"], number["side"], number["threshold"], interval, number.get("n"), number.get("control")
    )


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


def summarise(verdicts: Mapping[str, Mapping[str, Mapping]]) -> dict:
    """Count verdicts over tracks.

    Args:
        verdicts: track or ``track/variant`` to its verdicts by gate name; no track without a gate.

    Returns:
        ``n_gates``, ``n_pass``, ``all_pass`` (0 or 1) and ``tracks``: for each track 1 where all its gates,
        those of all its variants together, pass.

    Raises:
        GateError: there is no gate at all, or a track has none.
    """
    empty = [name for name, gates in verdicts.items() if not gates]
    if empty or not verdicts:
        raise GateError(", ".join(empty) or "gates", expected="at least one gate", found="none")
    passes: dict[str, list[int]] = {}
    for name, gates in verdicts.items():
        passes.setdefault(name.split("/")[0], []).extend(gate["pass"] for gate in gates.values())
    every = [value for values in passes.values() for value in values]
    return {
        "n_gates": len(every),
        "n_pass": sum(every),
        "all_pass": int(all(every)),
        "tracks": {track: int(all(values)) for track, values in passes.items()},
    }


def _lookup(metrics: Mapping, dotted: str, gate: str) -> object:
    value: object = metrics
    for key in dotted.split("."):
        if not isinstance(value, Mapping) or key not in value:
            found = f"no {key!r} among {', '.join(map(str, value))}" if isinstance(value, Mapping) else repr(value)
            raise GateError(gate, expected=f"a metric {dotted}", found=found)
        value = value[key]
    return value


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
