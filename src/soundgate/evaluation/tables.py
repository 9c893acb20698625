"""Verdicts and numbers as Markdown, for reports."""

from __future__ import annotations

import pandas as pd

from soundgate.evaluation.verdicts import CANNOT_BE_JUDGED, FAIL, PASS, UNDECIDED, verdict_text


def markdown_table(table: pd.DataFrame) -> str:
    """Return a table in Markdown, without its index."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def gate_rows(gates: dict[str, dict]) -> pd.DataFrame:
    """Return a row for each gate: its name, what was measured, its control, and its verdict.

    Args:
        gates: verdicts by name.
    """
    return pd.DataFrame(
        [
            {
                "gate": f"`{name}`",
                "measured": gate_cell(gate),
                "control": number_cell(gate["control"]) if "control" in gate else "",
                "": verdict_cell(gate),
            }
            for name, gate in gates.items()
        ]
    )


def verdict_cell(gate: dict) -> str:
    """Return a gate's verdict as text in which a failure stands out."""
    return "**FAIL**" if gate["verdict"] == FAIL else verdict_text(gate)


def gates_overview(gates: dict[str, dict]) -> list[str]:
    """Return how many gates pass and, a line each, those that do not, in Markdown.

    Args:
        gates: verdicts by name.
    """
    missed = {name: gate for name, gate in gates.items() if gate["verdict"] != PASS}
    lines = [f"{len(gates) - len(missed)} of {len(gates)} gates pass."]
    for verdict in (FAIL, UNDECIDED):
        own = {name: gate for name, gate in missed.items() if gate["verdict"] == verdict}
        rows = [f"- `{name}`: {gate_cell(gate)}{_why_not(gate)}" for name, gate in own.items()]
        lines += ["", f"{'Failed' if verdict == FAIL else 'Undecided'}:", "", *rows] if own else []
    return lines


def gate_cell(gate: dict) -> str:
    """Return a verdict's value, interval and threshold as text."""
    sign = "≤" if gate["side"] == "below" else "≥"
    interval = ""
    if gate.get("ci_low") is not None:
        interval = f" [{number_cell(gate['ci_low'])}, {number_cell(gate['ci_high'])}], n = {gate['n']}"
    return f"{number_cell(gate['value'])}{interval}, needs {sign} {gate['threshold']:g}"


def _why_not(gate: dict) -> str:
    return f"; {CANNOT_BE_JUDGED}: the judge does not hear the {gate['deaf']}" if "deaf" in gate else ""


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its numbers as short texts."""
    return table.apply(
        lambda column: column.map(lambda value: value if isinstance(value, str | int) else number_cell(value))
    )


def number_cell(value: float | None) -> str:
    """Return a number as text; ``none`` for one that is missing."""
    return "none" if value is None or pd.isna(value) else f"{value:.3f}"
