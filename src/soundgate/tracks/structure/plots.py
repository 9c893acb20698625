"""The plots of Phase 0: pictures for the report, tables for `dvc plots`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from soundgate.runtime.figures import label_text, save_figure
from soundgate.runtime.files import atomic_path
from soundgate.tracks.structure.settings import DecisionSettings
from soundgate.tracks.structure.tables import metrics_table

_DPI = 110


def write_plots(metrics: dict, curves: dict, settings: DecisionSettings, folder: Path) -> None:
    """Write every plot of the report.

    Args:
        metrics: as `analyse` returns them.
        curves: likewise.
        settings: thresholds, drawn as lines.
        folder: for ``*.png`` and ``*.csv``.
    """
    names = list(metrics["conditions"])
    with_cells = [name for name in names if curves[name]["cell_count"]]
    table = metrics_table(metrics)
    labelled = table.assign(label=[f"{c}, lag {lag}" for c, lag in zip(table["condition"], table["lag"], strict=True)])
    save_figure(_gains(table, curves["nulls"], settings), folder / "gain.png", _DPI)
    save_figure(_ratios(table, metrics, settings), folder / "variance_ratio.png", _DPI)
    save_figure(_grid(with_cells, curves, _cell_sizes), folder / "cluster_sizes.png", _DPI)
    save_figure(_grid(with_cells, curves, _variance_against_size), folder / "variance_against_size.png", _DPI)
    save_figure(_grid(with_cells, curves, _mean_pca), folder / "cluster_means_pca.png", _DPI)
    save_figure(_confidence(names, curves), folder / "confidence.png", _DPI)
    save_figure(_speakers(names, curves), folder / "speakers.png", _DPI)
    _save_table(labelled[["label", "condition", "lag", "gain", "gain_ci_low", "gain_ci_high"]], folder / "gain.csv")
    _save_table(
        labelled[["label", "condition", "lag", "seed_variance_ratio_train", "seed_variance_ratio_eval"]],
        folder / "variance_ratio.csv",
    )
    _save_table(_long(names, curves, "confidence"), folder / "confidence.csv")
    _save_table(_speaker_table(names, curves), folder / "speakers.csv")


def _gains(table: pd.DataFrame, nulls: dict, settings: DecisionSettings) -> Figure:
    figure, axes = _figure(1, 2, (11, 4))
    for i, (name, rows) in enumerate(table.groupby("condition", sort=False)):
        x = np.arange(len(rows)) + 0.15 * (i - 1)
        value, low, high = (rows[c].to_numpy(float) for c in ("gain", "gain_ci_low", "gain_ci_high"))
        axes[0].errorbar(x, value, [value - low, high - value], fmt="o", capsize=3, label=label_text(name))
    lags = table["lag"].unique()
    axes[0].set(xticks=range(len(lags)), xticklabels=lags, xlabel="lag (frames)", ylabel="gain on the innovation")
    axes[0].axhline(settings.sound.min_gain, color="k", ls="--", lw=0.8, label="smallest useful gain")
    axes[0].axhline(0, color="grey", lw=0.6)
    axes[0].set_title("New speakers, 95 % interval over speakers")
    figure.legend(fontsize=8, loc="outside lower center", ncols=4)
    for name, title in (
        ("swap", "contexts swapped"),
        ("surrogate", "linear surrogates"),
        ("iaaft", "IAAFT surrogates"),
    ):
        if nulls[name]:
            axes[1].hist(nulls[name], bins=15, alpha=0.6, label=title)
    axes[1].set(xlabel="largest gain of a null draw", ylabel="draws", title="Null distributions (leading components)")
    axes[1].legend(fontsize=8)
    return figure


def _ratios(table: pd.DataFrame, metrics: dict, settings: DecisionSettings) -> Figure:
    figure, axes = _figure(1, 1, (7, 4))
    axis = axes[0]
    labels = [f"{label_text(c)}\nlag {lag}" for c, lag in zip(table["condition"], table["lag"], strict=True)]
    x = np.arange(len(table))
    axis.plot(x, table["seed_variance_ratio_train"].astype(float), "o", label="train, in-sample")
    axis.plot(x, table["seed_variance_ratio_eval"].astype(float), "s", mfc="none", label="eval, own means")
    axis.plot(x, 1 - table["gain_difference"].astype(float), "^", label="eval, train means (held out)")
    random = [metrics["conditions"][c]["random"]["expected"] for c in table["condition"]]
    axis.plot(x, np.array(random, float), "_", color="grey", ms=14, label="random assignment, expected")
    axis.axhline(settings.seed.variance_ratio, color="k", ls="--", lw=0.8, label="the seed's threshold")
    axis.set(xticks=x, ylabel="variance ratio of the differences")
    axis.set_xticklabels(labels, fontsize=7, rotation=45, ha="right")
    figure.legend(fontsize=7, loc="outside lower center", ncols=3)
    return figure


def _cell_sizes(axis: Axes, curve: dict) -> None:
    axis.hist(curve["cell_count"], bins=30)
    axis.set(xlabel="train frames in a cluster", ylabel="clusters")


def _variance_against_size(axis: Axes, curve: dict) -> None:
    axis.semilogx(curve["cell_count"], curve["cell_variance"], ".", alpha=0.6)
    axis.set(xlabel="train frames in a cluster", ylabel="variance within, summed")


def _mean_pca(axis: Axes, curve: dict) -> None:
    if curve["mean_pca"]:
        size = np.array(curve["cell_count"], float)
        axis.scatter(*np.array(curve["mean_pca"], float).T, s=60 * size / size.max(), alpha=0.6)
    axis.set(xlabel="first component", ylabel="second component")


def _confidence(names: list[str], curves: dict) -> Figure:
    figure, axes = _figure(1, 1, (6, 4))
    for name in names:
        curve = curves[name]["confidence"]
        if curve["top_share"]:
            axes[0].plot(curve["top_share"], curve["variance_ratio"], "o-", ms=3, label=label_text(name))
    axes[0].axhline(1, color="grey", lw=0.6)
    axes[0].set(xlabel="most confident share of eval frames", ylabel="held-out variance ratio of the innovation")
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend(fontsize=8)
    return figure


def _speakers(names: list[str], curves: dict) -> Figure:
    speakers = [label_text(curves["speaker_names"][i]) for i in curves[names[0]]["speakers"]]
    figure, axes = _figure(1, 1, (max(5, 0.35 * len(speakers) * len(names) ** 0.5 + 2), 4))
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        x = np.arange(len(speakers)) + i * width - 0.4
        axes[0].bar(x, curves[name]["speaker_gain"], width, label=label_text(name))
    axes[0].axhline(0, color="grey", lw=0.6)
    axes[0].set(xticks=range(len(speakers)), ylabel="gain on the innovation", title="Eval speakers, first lag")
    axes[0].set_xticklabels(speakers, rotation=60, ha="right", fontsize=7)
    figure.legend(fontsize=8, loc="outside lower center", ncols=len(names))
    return figure


def _grid(names: list[str], curves: dict, draw) -> Figure:
    figure, axes = _figure(1, max(len(names), 1), (4 * max(len(names), 1), 3.5))
    for axis, name in zip(axes, names, strict=False):
        draw(axis, curves[name])
        axis.set_title(label_text(name), fontsize=9)
    if not names:
        axes[0].text(0.5, 0.5, "no condition has a cluster with enough train frames", ha="center", fontsize=8)
    return figure


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=size, layout="constrained")
    return figure, np.atleast_1d(figure.subplots(rows, columns))


def _long(names: list[str], curves: dict, key: str) -> pd.DataFrame:
    return pd.concat([pd.DataFrame(curves[n][key]).assign(condition=n) for n in names], ignore_index=True)


def _speaker_table(names: list[str], curves: dict) -> pd.DataFrame:
    speakers = curves["speaker_names"]
    return pd.DataFrame(
        [
            {"label": f"{speakers[i]}, {name}", "condition": name, "speaker": speakers[i], "gain": gain}
            for name in names
            for i, gain in zip(curves[name]["speakers"], curves[name]["speaker_gain"], strict=True)
        ]
    )


def _save_table(table: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
