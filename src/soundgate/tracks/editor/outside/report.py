"""The outside judge for people: verdicts, whether it hears anything, and what it says of every system."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from soundgate.evaluation.second_opinion import interval_cell
from soundgate.evaluation.tables import gate_rows, gates_overview, markdown_table, number_cell, rounded


def report_markdown(found: Mapping, gates: dict[str, dict]) -> str:
    """Return the report.

    Args:
        found: ``judge`` (answers) and ``systems`` (figures), as written to JSON.
        gates: verdicts by name.
    """
    parts = ["# Vocoder: outside judge", "", *gates_overview(gates), "", "## Gates", ""]
    parts += [markdown_table(gate_rows(gates)), "", "## What ViSQOL hears on this corpus", ""]
    parts += ["The twin is the mean of regressions with shuffled coefficients on the same similarities.", ""]
    parts += [markdown_table(_answers(found)), "", "## Systems, songs nobody trained on", ""]
    parts += [markdown_table(rounded(_systems(found))), ""]
    return "\n".join(parts)


def _answers(found: Mapping) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "figure": f"`{own['figure']}`", "asked": own["asked"], "answer": _interval(own),
                "twin": "" if own["twin"] is None else number_cell(own["twin"]),
                "": "deaf" if own["deaf"] else "hears",
            }
            for own in found["judge"]
        ]
    )  # fmt: skip


def _systems(found: Mapping) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"system": name} | {figure: _interval(own) for figure, own in figures.items()}
            for name, figures in found["systems"].items()
        ]
    )


def _interval(own: Mapping) -> str:
    return f"{interval_cell(own)}, n = {own['n']}"
