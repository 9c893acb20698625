"""Pictures and tables of Tier 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from soundgate.runtime.figures import save_figure
from soundgate.runtime.files import atomic_path

_DPI = 110


def write_train_plots(metrics: dict, curves: list[dict], folder: Path) -> None:
    """Write the training curves and what the models save by horizon.

    Args:
        metrics: as `train_and_measure` returns them.
        curves: likewise.
        folder: for the files.
    """
    save_table(pd.DataFrame(curves), folder / "training.csv")
    rows = [
        {"label": f"{k} frames, over {name.replace('_', ' ')}", "horizon": int(k), "baseline": name, **gain}
        for k, entry in metrics["horizons"].items()
        for name, gain in (entry["gain"] | {"itself, mismatched": entry["gain_over_mismatched"]}).items()
    ]
    table = pd.DataFrame(rows)
    save_table(table, folder / "gain.csv")
    save_figure(_gains(table), folder / "gain.png", _DPI)


def _gains(table: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    for i, (name, rows) in enumerate(table.groupby("baseline", sort=False)):
        _error_bars(axis, np.arange(len(rows)) + 0.1 * (i - 2.5), rows, name.replace("_", " "))
    horizons = table["horizon"].unique()
    axis.axhline(0, color="grey", lw=0.6)
    axis.set(xticks=range(len(horizons)), xticklabels=horizons, xlabel="horizon (frames)")
    axis.set(ylabel="saved, nats a dimension", title="The network against what knows less, new speakers")
    axis.legend(fontsize=8)
    return figure


def _ensembles(table: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    for i, (name, rows) in enumerate(table.groupby("forecast", sort=False)):
        _error_bars(axis, np.arange(len(rows)) + 0.1 * (i - 2), rows, name)
    horizons = table["horizon"].unique()
    axis.set(xticks=range(len(horizons)), xticklabels=horizons, xlabel="horizon (frames)")
    axis.set(ylabel="energy score, lower is better", title="Free runs against direct predictions and holding still")
    axis.legend(fontsize=8)
    return figure


def write_inject_plots(metrics: dict, folder: Path) -> None:
    """Write each mode's figures by step, and the energy scores of the ensembles.

    Args:
        metrics: as `diagnose` returns them.
        folder: for the files.
    """
    names = ("gain", "cosine", "magnitude_ratio", "error_before")
    rows = [
        {"mode": mode, "step": step + 1} | {name: figures[name][step]["value"] for name in names}
        for mode, figures in metrics["modes"].items()
        for step in range(len(figures["gain"]))
    ]
    table = pd.DataFrame(rows)
    save_table(table, folder / "steps.csv")
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    labels = ("saved, nats a dimension", "cosine", "magnitude ratio", "error before the step, in true steps")
    for axis, name, label in zip(figure.subplots(2, 2).ravel(), names, labels, strict=True):
        for mode, values in table.groupby("mode"):
            axis.plot(values["step"], values[name].astype(float), "o-", ms=3, label=f"mode {mode}")
        axis.set(xlabel="step", ylabel=label)
    figure.axes[0].legend(fontsize=8)
    figure.suptitle(f"Injection of the true state: {metrics['verdict']}")
    save_figure(figure, folder / "injection.png", _DPI)
    forecasts = ("free", "undrawn", "direct", "linear", "still")
    rows = [{"horizon": int(k), "forecast": name, **row[name]} for k, row in metrics["ensembles"].items()
            for name in forecasts]  # fmt: skip
    table = pd.DataFrame(rows)
    save_table(table, folder / "ensembles.csv")
    save_figure(_ensembles(table), folder / "ensembles.png", _DPI)


def comparison_table(metrics: dict) -> pd.DataFrame:
    """Return one row for each codec, context and family of what `compare` returns."""
    keys = ("gain_per_second", "gain_per_frame", "gain_per_dim", "over_linear_per_second")
    return pd.DataFrame(
        [
            {
                "label": f"{codec}, {context.replace('_', ' ')}, {family}",
                "codec": codec,
                "context": context,
                "family": family,
                "context_frames": part["frames"],
                "context_s": part["duration_s"],
                **{f"{k}{suffix}": values[k][field] for k in keys for suffix, field in _FIELDS.items()},
                "nll_per_dim": values["nll_per_dim"]["value"],
                "cosine": values["cosine"]["value"],
            }
            for codec, entry in metrics["codecs"].items()
            for context, part in entry["contexts"].items()
            for family, values in part["families"].items()
        ]
    )


_FIELDS = {"": "value", "_ci_low": "ci_low", "_ci_high": "ci_high"}


def write_compare_plots(metrics: dict, curves: list[dict], folder: Path) -> None:
    """Write the gains of both codecs per second and per frame, and the training curves.

    Args:
        metrics: as `compare` returns them.
        curves: likewise.
        folder: for the files.
    """
    table = comparison_table(metrics)
    save_table(table, folder / "comparison.csv")
    save_table(pd.DataFrame(curves), folder / "training.csv")
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    for axis, unit in zip(figure.subplots(1, 2), ("second", "frame"), strict=True):
        for i, (codec, rows) in enumerate(table.groupby("codec", sort=False)):
            name = f"gain_per_{unit}"
            named = rows.rename(columns={name: "value", f"{name}_ci_low": "ci_low", f"{name}_ci_high": "ci_high"})
            _error_bars(axis, np.arange(len(rows)) + 0.15 * i, named, codec)
        axis.axhline(0, color="grey", lw=0.6)
        axis.set(xticks=range(len(rows)), ylabel=f"saved, nats a {unit}")
        labels = [f"{c.replace('_', ' ')}\n{f}" for c, f in zip(rows["context"], rows["family"], strict=True)]
        axis.set_xticklabels(labels, fontsize=7, rotation=45, ha="right")
    figure.axes[0].legend(fontsize=8)
    save_figure(figure, folder / "comparison.png", _DPI)


def _error_bars(axis, x: np.ndarray, rows: pd.DataFrame, label: str) -> None:
    value, low, high = (rows[name].to_numpy(float) for name in ("value", "ci_low", "ci_high"))
    axis.errorbar(x, value, [np.maximum(value - low, 0), np.maximum(high - value, 0)], fmt="o", capsize=3, label=label)


def save_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
