"""The comparison as a picture: differences with intervals, beside what chance alone explains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from soundgate.runtime.figures import label_text, save_figure
from soundgate.tracks.voice.ablations.settings import ComparisonSettings

# Okabe and Ito 2008.
_COLOURS = {"better": "#009e73", "worse": "#d55e00"}
_TOLD = (*_COLOURS, "no difference shown")
_COLUMNS = 3


def comparison_picture(path: str | Path, settings: ComparisonSettings, table: pd.DataFrame) -> None:
    """Draw one panel for each measure: the difference of each arm to the baseline, with its interval.

    Filled are endpoints, hollow the other measures and what cannot be told; grey is the noise floor.

    Args:
        path: a PNG, written atomically.
        settings: see `ComparisonSettings`.
        table: from `compare`.
    """
    measures = list(settings.measures)
    n_rows = -(-len(measures) // _COLUMNS)
    height = n_rows * (1.2 + 0.28 * (len(settings.all_arms) - 1))
    figure = Figure((14, height), layout="constrained")
    axes = figure.subplots(n_rows, min(_COLUMNS, len(measures)), squeeze=False, sharey=True).ravel()
    for axis, measure in zip(axes, measures, strict=False):
        _panel(axis, table[table["measure"] == measure], settings.measures[measure])
    for axis in axes[len(measures) :]:
        axis.set_visible(False)
    nothing = "" if table["n_seeds"].sum() else ": no arm was run yet"
    baseline = label_text(settings.baseline)
    figure.suptitle(f"Difference to `{baseline}`, 95 % intervals over seeds{nothing}", fontsize=12)
    save_figure(figure, path)


def _panel(axis: Axes, own: pd.DataFrame, better: str) -> None:
    axis.axvline(0, color="#808080", linewidth=0.8, zorder=1)
    for height, row in enumerate(own.itertuples()):
        if not np.isfinite(row.difference):
            continue
        colour = _COLOURS.get(row.verdict, "#30404f")
        if np.isfinite(row.noise_floor):
            axis.barh(height, 2 * row.noise_floor, 0.8, -row.noise_floor, color="#dddddd", zorder=0)
        if np.isfinite(row.ci_low):
            axis.hlines(height, row.ci_low, row.ci_high, color=colour, linewidth=1.5)
        face = colour if row.verdict in _TOLD else "white"
        axis.plot(row.difference, height, "o", color=colour, markerfacecolor=face, markersize=6)
    axis.set_yticks(range(len(own)), [label_text(arm) for arm in own["arm"]])
    axis.set_ylim(len(own) - 0.5, -0.5)
    axis.locator_params(axis="x", nbins=5)  # More of them would touch.
    axis.set_title(f"{label_text(own['measure'].iloc[0])} ({better} is better)", fontsize=10)
