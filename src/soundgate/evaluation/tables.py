"""Verdicts and numbers as Markdown, for reports."""

from __future__ import annotations

import pandas as pd


def markdown_table(table: pd.DataFrame) -> str:
    """Return a table in Markdown, without its index."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def gate_rows(gates: dict[str, dict]) -> pd.DataFrame:
    """Return a row for each gate: its name, what was measured, its control, and whether it passes.

    Args:
        gates: verdicts by name.
    """
    return pd.DataFrame(
        [
            {
                "gate": f"`{name}`",
                "measured": gate_cell(gate),
                "control": number_cell(gate["control"]) if "control" in gate else "",
                "": "pass" if gate["pass"] else "**FAIL**",
            }
            for name, gate in gates.items()
        ]
    )


def gate_cell(gate: dict) -> str:
    """Return a verdict's value, interval and threshold as text."""
    sign = "≤" if gate["side"] == "below" else "≥"
    interval = ""
    if gate.get("ci_low") is not None:
        interval = f" [{number_cell(gate['ci_low'])}, {number_cell(gate['ci_high'])}], n = {gate['n']}"
    return f"{number_cell(gate['value'])}{interval}, needs {sign} {gate['threshold']:g}"


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its numbers as short texts."""
    return table.apply(
        lambda column: column.map(lambda value: value if isinstance(value, str | int) else number_cell(value))
    )


def number_cell(value: float | None) -> str:
    """Return a number as text; ``none`` for one that is missing."""
    return "none" if value is None or pd.isna(value) else f"{value:.3f}"
