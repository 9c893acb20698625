"""Every fault as a row, how many of its trainings were found at each strength."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from soundgate.runtime.figures import save_figure


def draw_faults(table: pd.DataFrame, path: str | Path) -> None:
    """Draw the share found of every fault in every architecture, the weakest strength first, as PNG.

    Args:
        table: from `soundgate.tracks.voice.faults.results.fault_table`.
        path: of the picture.
    """
    groups = list(table.groupby(["fault", "architecture"], sort=False))
    with matplotlib.rc_context({"font.size": 7}):
        figure = Figure(figsize=(6.0, 0.19 * len(groups) + 0.9), layout="constrained")
        axes = figure.subplots()
        for row, (_, own) in enumerate(groups):
            shares = (own["found"] / own["trainings"]).to_numpy()
            for place, (share, strength) in enumerate(zip(shares, own["strength"], strict=True)):
                axes.barh(row, 0.94, 0.8, place, color=matplotlib.colormaps["RdYlGn"](float(share)), linewidth=0)
                # The ends of the map are dark.
                ink = "black" if 0.2 < share < 0.8 else "white"
                axes.text(place + 0.47, row, f"{strength}: {share:.0%}", ha="center", va="center", color=ink)
        axes.set_yticks(range(len(groups)), [f"{fault}, {architecture}" for (fault, architecture), _ in groups])
        axes.set_xticks([])
        axes.invert_yaxis()
        axes.set_title("Trainings with a fault in which the health monitor\nalarmed, by the fault's strength")
        save_figure(figure, path, dpi=120)
