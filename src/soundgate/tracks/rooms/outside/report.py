"""The outside judge for people: verdicts, whether it hears noise at all, and every system beside the others."""

from __future__ import annotations

import pandas as pd

from soundgate.evaluation.second_opinion import interval_cell
from soundgate.evaluation.tables import gate_rows, gates_overview, markdown_table
from soundgate.tracks.rooms.outside.listening import MEASURES


def report_markdown(found: dict, gates: dict[str, dict]) -> str:
    """Return the report.

    Args:
        found: ``recordings``, ``judge``, ``systems`` and ``over``, see `rooms-outside`.
        gates: verdicts by name.
    """
    parts = ["# Sterilised voices: outside judge", "", *gates_overview(gates), "", "## Gates", ""]
    parts += ["The control is what trimming and loudness do alone.", "", markdown_table(gate_rows(gates)), ""]
    parts += ["## What was rated", "", markdown_table(_recordings(found["recordings"])), ""]
    judge = found["judge"]
    parts += [f"DNSMOS, {judge['asked']}: {_interval(judge)}: {'**deaf**' if judge['deaf'] else 'hears'}.", ""]
    for kind in found["systems"]:
        parts += [f"## {kind.capitalize()} recordings", "", markdown_table(_figures(found["systems"][kind], "system"))]
        parts += ["", markdown_table(_figures(found["over"][kind], "difference")), ""]
    return "\n".join(parts)


def _recordings(counts: dict) -> pd.DataFrame:
    return pd.DataFrame([{"": kind} | own for kind, own in counts.items()])


def _figures(by_measure: dict, title: str) -> pd.DataFrame:
    first = next(iter(by_measure.values()))
    return pd.DataFrame(
        [
            {title: name.replace("_", " ")} | {measure: _interval(by_measure[measure][name]) for measure in MEASURES}
            for name in first
        ]
    )


def _interval(own: dict) -> str:
    if not own["n"]:
        return "none"
    return f"{interval_cell(own)}, n = {own['n']}"
