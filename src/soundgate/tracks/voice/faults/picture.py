"""Every training of the test of the monitor as a row, its alarms where they came."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from soundgate.runtime.figures import save_figure
from soundgate.tracks.voice.faults.running import Run
from soundgate.tracks.voice.faults.settings import FaultSettings

_COLOURS = {"healthy": "#d8e2dc", "warning": "#f2c14e", "critical": "#d1495b"}


def draw_trials(runs: Mapping[Run, list[dict]], settings: FaultSettings, path: str | Path) -> None:
    """Draw the status of every check of every training, as PNG; a line where faults come."""
    names = [run.name for run in runs]
    with matplotlib.rc_context({"font.size": 7}):
        figure = Figure(figsize=(8.0, 0.19 * len(names) + 0.9), layout="constrained")
        axes = figure.subplots()
        for row, records in enumerate(runs.values()):
            for record in records:
                height = 0.8 if record["is_check"] else 0.5
                axes.barh(row, settings.interval, height, record["step"] - settings.interval,
                          color=_COLOURS[record["status"]], linewidth=0)  # fmt: skip
        axes.axvline(settings.first_step, color="#2e4057", linewidth=1.0)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set(xlabel="step", xlim=(0, settings.n_steps), title="Health monitor: yellow warning, red critical")
        save_figure(figure, path, dpi=120)
