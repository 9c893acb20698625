"""diagnostics.jsonl: one line a check, each step once however often a run was interrupted."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from soundgate.runtime.console import logger
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import write_text
from soundgate.training.health.findings import LEVELS, Finding, Status, worst

RECORDS_FILE = "diagnostics.jsonl"
RUNS_FOLDER = Path("runs", "diagnostics")


class Record(NamedTuple):
    """One check.

    Args:
        step: of the training, as many as were taken.
        metrics: figures by name, see `soundgate.training.health.rules`; None where one is not finite.
        findings: what the rules found.
        is_check: False for a batch refused between two checks, which has nothing to be compared with.
        time_s: seconds since 1970.
    """

    step: int
    metrics: dict[str, float | None]
    findings: list[Finding]
    is_check: bool = True
    time_s: float = 0.0

    @property
    def status(self) -> Status:
        """The worst of the findings' levels."""
        return worst(self.findings)

    def line(self) -> str:
        """Return the record as one line of JSON."""
        findings = [finding._asdict() | {"remedy": finding.remedy} for finding in self.findings]
        value = {
            "step": self.step, "status": self.status, "findings": findings, "check": self.is_check,
            "metrics": self.metrics, "time_s": round(self.time_s, 3),
        }  # fmt: skip
        return json.dumps(value, allow_nan=False)

    def scalars(self) -> dict[str, float]:
        """Return what TensorBoard draws: the figures, and the status as 0, 1 or 2."""
        figures = {name: value for name, value in self.metrics.items() if value is not None}
        return {"step": self.step, "status": float(LEVELS.index(self.status))} | figures


def new_record(step: int, metrics: Mapping[str, float], findings: list[Finding], is_check: bool = True) -> Record:
    """Return a record of now."""
    return Record(step, finite(metrics), findings, is_check, time.time())


def finite(metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the figures with None for those that are not finite."""
    return {name: value if value is not None and math.isfinite(value) else None for name, value in metrics.items()}


def read_records(path: str | Path) -> list[Record]:
    """Read what trainings wrote, without a last line that a kill has cut.

    Raises:
        FormatError: another line is not a record.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
    records = []
    for number, line in enumerate(lines):
        try:
            records.append(_parsed(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) - 1 and not line.endswith("\n"):
                break
            where = f"{path}, line {number + 1}"
            raise FormatError(where, expected="a record of diagnostics", found=str(error) or repr(line[:40])) from error
    return records


def _parsed(value: dict) -> Record:
    findings = [Finding(*(finding[field] for field in Finding._fields)) for finding in value["findings"]]
    return Record(int(value["step"]), dict(value["metrics"]), findings, value["check"], value["time_s"])


class RecordFile:
    """Where a run's records go.

    Args:
        folder: gets ``diagnostics.jsonl``; None: they are kept here alone.
        step: from which the run goes on: later records of an interrupted run are dropped, since their steps come
            again.
    """

    def __init__(self, folder: Path | None, step: int) -> None:
        self.path = None if folder is None else folder / RECORDS_FILE
        self.records: list[Record] = []
        try:
            self.records = [record for record in self._old() if record.step <= step]
            if self.path is not None:
                write_text(self.path, "".join(f"{record.line()}\n" for record in self.records))
        except (OSError, FormatError) as error:
            self._give_up(error)

    def add(self, record: Record) -> None:
        """Append one record; where that fails, nothing more is written, and the training goes on."""
        self.records.append(record)
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{record.line()}\n")
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        logger.warning("No diagnostics are written: %s", error)
        self.path = None

    def checks(self, count: int) -> Sequence[dict[str, float | None]]:
        """Return the figures of the last checks."""
        found = []
        for record in reversed(self.records):
            if len(found) == count:
                break
            if record.is_check:
                found.append(record.metrics)
        return found[::-1]

    def _old(self) -> list[Record]:
        return read_records(self.path) if self.path is not None and self.path.is_file() else []
