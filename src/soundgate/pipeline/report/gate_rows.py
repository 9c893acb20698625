"""A track's gates as rows of the report, each with its interval drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from soundgate.evaluation.verdicts import verdict_text
from soundgate.pipeline.comparison import Compared
from soundgate.pipeline.gate_files import Gates

# Of the drawing, in its own units; the empty edge keeps marks inside.
WIDTH, EDGE = 200.0, 8.0


@dataclass(frozen=True)
class Row:
    """One gate as it is shown.

    Args:
        name: of the gate, without its part.
        part: variant and part that it belongs to; empty: the track itself.
        value: with its interval, as text.
        needs: side and threshold.
        control: the opponent's value; empty: it has none.
        passed_by: opponents that pass the gate as well.
        verdict: pass, fail, undecided.
        shown: the verdict in words.
        change: what became of it since the revision compared with; empty: nothing, or none was.
        marks: places on the drawing: ``threshold``, ``value``, ``low``, ``high``, ``control``, those that there are.
    """

    name: str
    part: str
    value: str
    needs: str
    control: str
    passed_by: str
    verdict: str
    shown: str
    change: str
    marks: Mapping[str, float]


def gate_rows(gates: Gates, changes: Mapping[str, Compared]) -> list[Row]:
    """Return one row a gate, in the order of ``gates``.

    Args:
        gates: of one track.
        changes: gates of the revision compared with, by name; empty: none is compared with.
    """
    return [_row(name, gate, changes.get(name)) for name, gate in gates.items()]


def value_text(gate: Mapping) -> str:
    """Return a gate's value with its interval: ``0.94 [0.91, 0.98]``."""
    ends = gate.get("ci_low"), gate.get("ci_high")
    return _number(gate["value"]) + ("" if None in ends else f" [{ends[0]:.3g}, {ends[1]:.3g}]")


def needs_text(gate: Mapping) -> str:
    """Return what a gate asks for: ``≥ 0.9``."""
    return f"{'≤' if gate['side'] == 'below' else '≥'} {gate['threshold']:.4g}"


def _row(name: str, gate: Mapping, compared: Compared | None) -> Row:
    part, _, own = name.rpartition(": ")
    control = gate.get("control")
    return Row(
        own,
        part,
        value_text(gate),
        needs_text(gate),
        "" if control is None else _number(control),
        ", ".join(gate.get("passed_by") or ()).replace("_", " "),
        gate["verdict"],
        verdict_text(gate),
        "" if compared is None else _change(compared),
        _marks(gate),
    )


def _change(compared: Compared) -> str:
    if compared.before is None:
        return "new"
    if compared.kind == "equal":
        return ""
    before = compared.before
    verdict = f"{verdict_text(before)}, " if before["verdict"] != compared.now["verdict"] else ""
    return f"was {verdict}{_number(before['value'])}"


def _marks(gate: Mapping) -> dict[str, float]:
    """Return where a gate's numbers lie on a scale that holds all of them."""
    keys = {"threshold": "threshold", "value": "value", "low": "ci_low", "high": "ci_high", "control": "control"}
    numbers = {mark: gate[key] for mark, key in keys.items() if gate.get(key) is not None}
    low, high = min(numbers.values()), max(numbers.values())
    scale = (WIDTH - 2 * EDGE) / (high - low) if high > low else 0.0
    return {mark: round(EDGE + (number - low) * scale if scale else WIDTH / 2, 1) for mark, number in numbers.items()}


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
