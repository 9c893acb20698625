"""The comparison's files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from soundgate.runtime.files import write_text
from soundgate.tracks.voice.ablations.collected import read_collected
from soundgate.tracks.voice.ablations.comparison import compare
from soundgate.tracks.voice.ablations.coverage import complaints, coverage
from soundgate.tracks.voice.ablations.picture import comparison_picture
from soundgate.tracks.voice.ablations.report import report_markdown
from soundgate.tracks.voice.ablations.settings import ComparisonSettings


def write_comparison(
    settings: ComparisonSettings, runs: Path, table: Path, report: Path, plot: Path, picture: Path
) -> None:
    """Compare the collected runs and write what came of it; with none collected, what says so.

    Args:
        settings: see `ComparisonSettings`.
        runs: the profile's folder of collected runs.
        table: CSV file: a row for each arm and measure, and what the arm cost.
        report: Markdown file.
        plot: CSV file for DVC's plot: the effect size of each arm and measure.
        picture: PNG file.

    Raises:
        FormatError: see `read_collected`.
    """
    collected = read_collected(runs)
    compared, costs = compare(settings, collected), coverage(settings, collected)
    whole = compared.merge(costs.drop(columns="n_seeds"), on="arm", how="left")
    write_text(table, _csv(whole))
    write_text(report, report_markdown(settings, compared, costs, complaints(settings, collected)))
    shown = compared[compared["effect_size"].notna()]
    label = shown["measure"].astype(str) + ": " + shown["arm"].astype(str)
    write_text(plot, _csv(shown[["arm", "measure", "effect_size", "difference", "verdict"]].assign(label=label)))
    comparison_picture(picture, settings, compared)


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
