"""Doing no harm for people: verdicts, and every method's figures."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from soundgate.evaluation.second_opinion import interval_cell
from soundgate.evaluation.statistics import Estimate
from soundgate.evaluation.tables import gate_rows, gates_overview, markdown_table, rounded

_SHOWN = {
    "cut": "finished song cut (share)",
    "inner_cuts_per_minute": "inner cuts a minute",
    "dead_air_f1": "session: dead air (F1)",
    "repeated_takes_f1": "session: repeated takes (F1)",
    "kept_cut": "session: kept takes cut (share)",
}


def report_markdown(found: Mapping[str, Mapping[str, Estimate]], gates: dict[str, dict], n_songs: int) -> str:
    """Return the report.

    Args:
        found: from `summarise`.
        gates: verdicts by name.
        n_songs: that were measured on.
    """
    rows = [
        {"method": name} | {shown: interval_cell(own[figure].as_dict()) for figure, shown in _SHOWN.items()}
        for name, own in found.items()
    ]
    parts = ["# `soundgate edit`: what is cut", "", *gates_overview(gates), "", "## Gates", ""]
    parts += [markdown_table(gate_rows(gates)), "", f"## Methods, {n_songs} songs nobody trained on", ""]
    parts += [markdown_table(rounded(pd.DataFrame(rows))), ""]
    return "\n".join(parts)
