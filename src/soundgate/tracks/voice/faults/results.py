"""What the test of the monitor comes to: figures for gates, a table of faults, a curve, their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from soundgate.evaluation.statistics import proportion_estimate
from soundgate.runtime.figures import save_figure
from soundgate.tracks.voice.faults.registry import FAULTS, side_of_fault
from soundgate.tracks.voice.faults.scoring import Outcome, false_alarms, power
from soundgate.tracks.voice.faults.trials import Trial


def summarise(outcomes: Mapping[Trial, Outcome]) -> dict:
    """Return the figures of trainings with and without faults.

    Returns:
        ``found``, share of those with a fault in which there was an alarm that there was not before, its interval over
        kinds of fault; ``false_alarms`` in 1,000 steps without a fault; ``healthy_runs_with_alarm``, share of those
        without a fault; ``faults``: for each fault and architecture how many were found at each strength, of how many.
    """
    healthy = {trial: own for trial, own in outcomes.items() if trial.fault is None}
    table = fault_table(outcomes)
    return {
        "found": power(outcomes).as_dict(),
        "false_alarms": false_alarms(healthy.values()).as_dict(),
        "healthy_runs_with_alarm": proportion_estimate(
            sum(own.n_alarms > 0 for own in healthy.values()), len(healthy)
        ).as_dict(),
        "faults": {
            fault: {
                architecture: {str(row.strength): [int(row.found), int(row.trainings)] for row in rows.itertuples()}
                for architecture, rows in own.groupby("architecture", sort=False)
            }
            for fault, own in table.groupby("fault", sort=False)
        },
    }


def fault_table(outcomes: Mapping[Trial, Outcome]) -> pd.DataFrame:
    """Return a row for each fault, architecture and strength.

    Returns:
        ``fault``, ``side``, ``architecture``, ``strength``, ``trainings``, ``found``, ``median_steps`` to the first
        alarm, ``rules`` that alarmed.
    """
    rows = []
    for fault, spec in FAULTS.items():
        for architecture in spec.architectures:
            for place, strength in enumerate(spec.strengths):
                own = [
                    outcome
                    for trial, outcome in outcomes.items()
                    if (trial.fault, trial.architecture, trial.strength) == (fault, architecture, place)
                ]
                if not own:
                    continue
                after = pd.Series([one.found_after for one in own], dtype=float)
                rules = " ".join(sorted({rule for one in own for rule in one.rules}))
                rows.append(
                    [fault, side_of_fault(fault), architecture, strength, len(own), int(after.notna().sum()),
                     after.median(), rules]
                )  # fmt: skip
    columns = ["fault", "side", "architecture", "strength", "trainings", "found", "median_steps", "rules"]
    return pd.DataFrame(rows, columns=columns)


def draw_curve(rows: Sequence[dict], path: str | Path) -> None:
    """Draw the power against false alarms, a point for each scale of the thresholds, with their intervals, as PNG.

    Args:
        rows: from `soundgate.tracks.voice.faults.scoring.curve`.
        path: of the picture.
    """
    with matplotlib.rc_context({"font.size": 8}):
        figure = Figure(figsize=(5.2, 3.8), layout="constrained")
        axes = figure.subplots()
        for row in rows:
            found, false = row["found"], row["false_alarms"]
            own = row["scale"] == 1.0
            colour = "#d1495b" if own else "#2e4057"
            axes.plot([false["value"]] * 2, [found["ci_low"], found["ci_high"]], color=colour, linewidth=0.6)
            axes.plot([false["ci_low"], false["ci_high"]], [found["value"]] * 2, color=colour, linewidth=0.6)
            axes.plot(false["value"], found["value"], "o", color=colour, markersize=4)
            axes.annotate(f" {row['scale']:g}", (false["value"], found["value"]), color=colour)
        axes.set(
            xlabel="alarms in 1,000 healthy steps", ylabel="share of faults found", ylim=(0, 1.02),
            xscale="symlog", xlim=(-0.1, None),
            title="Thresholds at multiples of their distance from health; red: as they are",
        )  # fmt: skip
        save_figure(figure, path, dpi=120)
