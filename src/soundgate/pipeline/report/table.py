"""What was asked and found as a Markdown table, as the README has it."""

from __future__ import annotations

from pathlib import Path

from soundgate.pipeline.gates import read_run
from soundgate.pipeline.report.content import findings
from soundgate.pipeline.report.stories import STORIES


def findings_table(root: Path, profile: str) -> str:
    """Return a Markdown table of the gates that answer each track's question, without a line end.

    Args:
        root: of the repository.
        profile: whose results.

    Raises:
        GateError: no track has been run.
    """
    lines = ["| | found | needs | |", "| --- | --- | --- | --- |"]
    for track, gates in read_run(root, profile).items():
        lines.append(f"| **{track}**: {STORIES[track].question} | | | |")
        for one in findings(STORIES[track], gates):
            variant = f" (`{one.variant}`)" if one.variant else ""
            lines.append(f"| {one.says}{variant} | {one.value} | {one.needs} | {one.shown} |")
    return "\n".join(lines)
