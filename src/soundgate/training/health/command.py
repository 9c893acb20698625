"""``soundgate health``: what the monitor found in trainings, what to do about it, and the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.table import Table

from soundgate.runtime.console import set_up_logging
from soundgate.runtime.errors import FormatError
from soundgate.runtime.stage import errors_in_one_line
from soundgate.training.health.findings import Finding
from soundgate.training.health.picture import draw_diagnostics
from soundgate.training.health.records import RECORDS_FILE, RUNS_FOLDER, Record, read_records

PICTURE_FILE = "diagnostics.png"


class Alarm(NamedTuple):
    """One finding over the checks in a row that had it.

    Args:
        first: step of the first of them.
        last: step of the last.
        finding: with the reason of the first.
    """

    first: int
    last: int
    finding: Finding


def alarms_of(records: Sequence[Record]) -> list[Alarm]:
    """Return what was found, each rule and subject once for as long as it lasted, in the order of its first step."""
    ended: list[Alarm] = []
    open_alarms: dict[tuple[str, str], Alarm] = {}
    for record in records:
        found = {(finding.rule, finding.subject): finding for finding in record.findings}
        for key in [key for key in open_alarms if key not in found]:
            ended.append(open_alarms.pop(key))
        for key, finding in found.items():
            begun = open_alarms.get(key, Alarm(record.step, record.step, finding))
            open_alarms[key] = begun._replace(last=record.step)
    return sorted([*ended, *open_alarms.values()], key=lambda alarm: (alarm.first, alarm.finding.rule))


@click.command("health", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("path", type=click.Path(exists=True, path_type=Path), default=RUNS_FOLDER)
@click.option("--picture/--no-picture", default=True, help=f"Draw {PICTURE_FILE} beside the records.")
def health(path: Path, picture: bool) -> None:
    """Show what the health monitor found, and what to do about it.

    PATH is a diagnostics.jsonl, or a folder with such files below it (default: runs/diagnostics).
    """
    set_up_logging()
    with errors_in_one_line():
        files = sorted(path.rglob(RECORDS_FILE)) if path.is_dir() else [path]
        if not files:
            raise FormatError(path, expected=f"a {RECORDS_FILE}", found="none", remedy="Trainings write them.")
        for file in files:
            records = read_records(file)
            _show(file, records)
            if picture and any(record.is_check for record in records):
                draw_diagnostics(records, file.with_name(PICTURE_FILE), file.parent.as_posix())


def _show(file: Path, records: Sequence[Record]) -> None:
    alarms, console = alarms_of(records), Console()
    checks = [record for record in records if record.is_check]
    last = f"last at step {checks[-1].step}: {checks[-1].status}" if checks else "none yet"
    console.print(f"{file.parent}: {len(checks)} checks, {last}, {len(alarms)} alarms", soft_wrap=True, highlight=False)
    if not alarms:
        return
    table = Table("steps", "level", "rule", "about", "reason", "what to do")
    for first, end, finding in alarms:
        steps = str(first) if first == end else f"{first}-{end}"
        table.add_row(steps, finding.level, finding.rule, finding.subject, finding.reason, finding.remedy)
    console.print(table)
