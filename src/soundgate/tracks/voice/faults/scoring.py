"""How well the monitor told faults from health, with intervals over trainings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from soundgate.evaluation.statistics import proportion_estimate
from soundgate.tracks.voice.faults.injecting import FAULTS
from soundgate.tracks.voice.faults.running import Run
from soundgate.tracks.voice.faults.settings import FaultSettings
from soundgate.training.health.settings import HealthSettings


def allowed_steps(settings: FaultSettings, health: HealthSettings) -> int:
    """Return the steps within which a fault must be named: the checks that a rule waits for, and one that is mixed."""
    return (health.sustained + 1) * settings.interval


def detected_after(run: Run, records: list[dict], first_step: int) -> int | None:
    """Return the steps from a fault's first to the first record that names it; None where none does."""
    named = FAULTS[run.fault][1]
    for record in records:
        if record["step"] > first_step and any(rule in named for rule, _, _ in record["findings"]):
            return record["step"] - first_step
    return None


def has_false_alarm(run: Run, records: list[dict], first_step: int) -> bool:
    """Whether there was an alarm of any kind while there was no fault."""
    return any(record["findings"] for record in records if run.fault is None or record["step"] <= first_step)


def score(runs: Mapping[Run, list[dict]], settings: FaultSettings, health: HealthSettings) -> dict:
    """Return precision, recall, steps to detection and false alarms.

    A training counts as alarmed where a fault was named within `allowed_steps`, or where there was an alarm without a
    fault: trainings without any, and those with one before it came.

    Returns:
        ``recall``, ``precision``, ``false_alarm_runs`` (share of healthy trainings with any alarm) and
        ``false_alarm_checks`` (share of checks without a fault that gave one; checks of a training are not
        independent), each with Wilson's interval; ``allowed_steps``; ``faults``: for each its detections, runs, most
        and median steps.
    """
    within, first = allowed_steps(settings, health), settings.first_step
    after = {run: detected_after(run, records, first) for run, records in runs.items() if run.fault is not None}
    hit = {run: steps is not None and steps <= within for run, steps in after.items()}
    false = {run: has_false_alarm(run, records, first) for run, records in runs.items()}
    n_true, n_false = sum(hit.values()), sum(false.values())
    healthy = [run for run in runs if run.fault is None]
    clean = [
        record
        for run, records in runs.items()
        for record in records
        if record["is_check"] and (run.fault is None or record["step"] <= first)
    ]
    return {
        "recall": proportion_estimate(n_true, len(after)).as_dict(),
        "precision": proportion_estimate(n_true, n_true + n_false).as_dict() if n_true + n_false else None,
        "false_alarm_runs": proportion_estimate(sum(false[run] for run in healthy), len(healthy)).as_dict(),
        "false_alarm_checks": proportion_estimate(sum(bool(r["findings"]) for r in clean), len(clean)).as_dict(),
        "allowed_steps": within,
        "interval": settings.interval,
        "faults": {fault: _of_fault(fault, after, hit) for fault in FAULTS},
    }


def _of_fault(fault: str, after: Mapping[Run, int | None], hit: Mapping[Run, bool]) -> dict:
    steps = [taken for run, taken in after.items() if run.fault == fault and taken is not None]
    own = [found for run, found in hit.items() if run.fault == fault]
    return {
        "n_runs": len(own),
        "n_detected": sum(own),
        "most_steps": max(steps, default=None),
        "median_steps": float(np.median(steps)) if steps else None,
    }
