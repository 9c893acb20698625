"""How well the monitor tells faults from health, with intervals over faults and over trainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from soundgate.evaluation.statistics import Estimate, ratio_estimate
from soundgate.tracks.voice.faults.registry import FAULTS
from soundgate.tracks.voice.faults.scaling import scaled
from soundgate.tracks.voice.faults.settings import FaultSettings
from soundgate.tracks.voice.faults.trials import Trial
from soundgate.training.health.rules import judge
from soundgate.training.health.settings import HealthSettings

# Of every threshold; the settings' own are 1.
SCALES = (0.25, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 3.0)
Alarm = tuple[str, str]


class Outcome(NamedTuple):
    """What became of a training.

    Args:
        n_steps: of it, as far as nothing was wrong.
        n_alarms: there, each once for as long as it lasted.
        found_after: steps from the fault's first to the first check with an alarm that there was none of before; None:
            there was none, or there is no fault.
        rules: of those alarms.
    """

    n_steps: int
    n_alarms: int
    found_after: int | None
    rules: tuple[str, ...]


def alarms_of(records: Sequence[Mapping], settings: HealthSettings) -> list[tuple[int, set[Alarm]]]:
    """Return the step of each record, and the rules and subjects that fire there."""
    metrics: list[Mapping] = []
    found = []
    for record in records:
        if record["is_check"]:
            metrics.append(record["metrics"])
            fired = {(finding.rule, finding.subject) for finding in judge(metrics, settings)}
        else:
            fired = {("non_finite", "batch")}
        found.append((record["step"], fired))
    return found


def outcome_of(trial: Trial, records: Sequence[Mapping], settings: HealthSettings, first_step: int) -> Outcome:
    """Judge a training anew by its records.

    Args:
        trial: which it was.
        records: from `soundgate.tracks.voice.faults.trials.observe_all`.
        settings: of the monitor.
        first_step: steps before its fault came; of no matter where it has none.
    """
    n_steps, n_alarms, standing, new = 0, 0, set[Alarm](), dict[Alarm, int]()
    for step, fired in alarms_of(records, settings):
        if trial.fault is None or step <= first_step:
            n_steps, n_alarms, standing = step, n_alarms + len(fired - standing), fired
        else:
            new |= {alarm: step - first_step for alarm in fired - standing - new.keys()}
    rules = tuple(sorted({rule for rule, _ in new}))
    return Outcome(n_steps, n_alarms, min(new.values(), default=None), rules)


def outcomes_of(
    runs: Mapping[Trial, Sequence[Mapping]], settings: FaultSettings, health: HealthSettings
) -> dict[Trial, Outcome]:
    """Judge every training anew by its records."""
    return {
        trial: outcome_of(
            trial, records, settings.trial(trial.architecture).watched(health), first_step(trial, settings)
        )
        for trial, records in runs.items()
    }


def first_step(trial: Trial, settings: FaultSettings) -> int:
    """Return the steps before a training's fault came."""
    own = settings.trial(trial.architecture)
    comes = trial.fault is not None and not FAULTS[trial.fault].from_start
    return own.before * own.interval if comes else 0


def power(outcomes: Mapping[Trial, Outcome]) -> Estimate:
    """Estimate the share of trainings with a fault in which there was an alarm; the interval is over kinds of fault."""
    faulty = [(trial.fault, outcome.found_after is not None) for trial, outcome in outcomes.items() if trial.fault]
    kinds = sorted({fault for fault, _ in faulty})
    found = np.array([sum(hit for fault, hit in faulty if fault == kind) for kind in kinds], float)
    count = np.array([sum(fault == kind for fault, _ in faulty) for kind in kinds], float)
    estimate = ratio_estimate(found, count, np.random.default_rng(0))
    low, high = np.clip([estimate.ci_low, estimate.ci_high], 0, 1)
    return Estimate(estimate.value, float(low), float(high), estimate.n)


def false_alarms(outcomes: Iterable[Outcome]) -> Estimate:
    """Estimate the alarms per 1,000 steps of trainings where nothing was wrong, with the exact Poisson interval.

    Source: Garwood 1936, "Fiducial limits for the Poisson distribution".
    """
    counted = [(outcome.n_alarms, outcome.n_steps) for outcome in outcomes if outcome.n_steps]
    alarms, steps = (float(total) for total in np.sum(counted, axis=0))
    low = stats.chi2.ppf(0.025, 2 * alarms) / 2 if alarms else 0.0
    high = stats.chi2.ppf(0.975, 2 * alarms + 2) / 2
    return Estimate(*(float(1000 * value / steps) for value in (alarms, low, high)), len(counted))


def curve(runs: Mapping[Trial, Sequence[Mapping]], settings: FaultSettings, health: HealthSettings) -> list[dict]:
    """Return the power and the false alarms with every threshold at so many times its distance from what is healthy."""
    rows = []
    for scale in SCALES:
        outcomes = outcomes_of(runs, settings, scaled(health, scale))
        found, false = power(outcomes), false_alarms(_healthy(outcomes).values())
        rows.append({"scale": scale, "found": found.as_dict(), "false_alarms": false.as_dict()})
    return rows


def _healthy(outcomes: Mapping[Trial, Outcome]) -> dict[Trial, Outcome]:
    return {trial: outcome for trial, outcome in outcomes.items() if trial.fault is None}
