"""Tables and pictures of the audit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from soundgate.runtime.figures import save_figure
from soundgate.runtime.files import write_text
from soundgate.tracks.voice.audit.pairs import UNSEEN
from soundgate.tracks.voice.audit.run import Audit
from soundgate.tracks.voice.audit.systems import CONVERTED, IDENTITY, PITCH_SHIFT, RANDOM, TARGET
from soundgate.tracks.voice.baselines.methods import KNN, WORLD_OT

_COLOURS = {
    IDENTITY: "#8a94a0", RANDOM: "#c7a252", PITCH_SHIFT: "#5b8f5b", WORLD_OT: "#2e86ab", KNN: "#1b4965",
    TARGET: "#7a5ba6", CONVERTED: "#c0392b",
}  # fmt: skip


def write_plots(folder: Path, audit: Audit, found: dict) -> None:
    """Write ``systems.csv``, ``reconstruction.csv``, ``similarity.png`` and ``f0.png``.

    Args:
        folder: of the plots.
        audit: what was measured.
        found: from `soundgate.tracks.voice.audit.summary.summarise`.
    """
    columns = ("similarity_to_target", "similarity_to_source", "closer", "f0_correlation", "content_margin")
    systems = pd.DataFrame(
        [
            {"system": name} | {column: own[column]["value"] for column in columns}
            for name, own in found["systems"][UNSEEN].items()
        ]
    )
    methods = pd.DataFrame(
        [
            {"method": name} | {figure: own["value"] for figure, own in figures.items()}
            for name, figures in found["reconstruction"].items()
        ]
    )
    for name, table in {"systems": systems, "reconstruction": methods}.items():
        write_text(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    pairs = audit.pairs[audit.pairs["split"] == UNSEEN]
    similarity_picture(folder / "similarity.png", pairs)
    f0_picture(folder / "f0.png", pairs)


def similarity_picture(path: Path, pairs: pd.DataFrame) -> None:
    """Draw each pair's similarity to the target against that to the source; the converter, baselines and controls.

    Args:
        path: a PNG.
        pairs: from `Hearing.table`, any systems.
    """
    figure = Figure((6.4, 6), layout="constrained")
    axis = figure.subplots()
    for system, colour in _COLOURS.items():
        own = pairs[pairs["system"] == system]
        label = system.replace("_", " ")
        axis.scatter(own["similarity_to_source"], own["similarity_to_target"], 22, colour, alpha=0.75, label=label)
    _diagonal(axis, pairs[["similarity_to_source", "similarity_to_target"]].to_numpy())
    axis.set(
        xlabel="similarity to the source (held-out judge)",
        ylabel="similarity to the target (held-out judge)",
        title="Unseen speakers; above the line: closer to the target",
    )
    axis.legend(loc="best", fontsize=9)
    save_figure(figure, path)


def f0_picture(path: Path, pairs: pd.DataFrame) -> None:
    """Draw the mean fundamental of each conversion, and of the source, against the target's own utterance."""
    target = pairs[pairs["system"] == TARGET].set_index(["source", "target", "utterance"])["f0_hz"]
    figure = Figure((6.4, 6), layout="constrained")
    axis = figure.subplots()
    shown = [target.to_numpy()]
    for system in (IDENTITY, CONVERTED):
        own = pairs[pairs["system"] == system].set_index(["source", "target", "utterance"])["f0_hz"].loc[target.index]
        axis.scatter(target, own, 22, _COLOURS[system], alpha=0.75, label="source" if system == IDENTITY else system)
        shown.append(own.to_numpy())
    _diagonal(axis, np.concatenate(shown))
    axis.set(xlabel="mean F0 of the target (Hz)", ylabel="mean F0 (Hz)", title="Height of the voice, unseen speakers")
    axis.legend(loc="best", fontsize=9)
    save_figure(figure, path)


def _diagonal(axis, values: np.ndarray) -> None:
    ends = [np.nanmin(values), np.nanmax(values)]
    if np.all(np.isfinite(ends)):
        axis.plot(ends, ends, color="#17212e", linewidth=0.8, zorder=0)
