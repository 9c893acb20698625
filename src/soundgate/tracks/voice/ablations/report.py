"""The comparison for people: what may be said first, then the tables it rests on."""

from __future__ import annotations

import pandas as pd

from soundgate.evaluation.tables import markdown_table, number_cell, rounded
from soundgate.tracks.voice.ablations.settings import ComparisonSettings

_SHOWN = ["arm", "arm_mean", "difference", "effect_size", "p", "p_holm", "n_seeds", "pairs_agree", "verdict"]
_METHOD = (
    "Differences are of the same seed on the same evaluation pair, averaged over pairs; intervals (95 %), effect sizes "
    "(Hedges-corrected d_z) and p-values (paired t) are over seeds, so they speak of other trainings, not of other "
    "speakers. `p_holm` is corrected over all arms and measures. A difference is called one if `p_holm` is below "
    "{alpha:g} and it exceeds the noise floor, the far end of the interval of the baseline against itself (A/A, other "
    "seeds). {few} seeds or more make it more than suggestive."
)


def report_markdown(
    settings: ComparisonSettings, table: pd.DataFrame, costs: pd.DataFrame, complaints: list[str]
) -> str:
    """Return the report.

    Args:
        settings: see `ComparisonSettings`.
        table: from `compare`.
        costs: from `coverage`.
        complaints: from `complaints`.
    """
    parts = ["# Voice conversion: ablations", ""]
    if not costs["n_seeds"].sum():
        return "\n".join([*parts, "No arm was run yet: nothing is compared. Run: `make ablations`", ""])
    parts += [*(f"- {line}" for line in [*_findings(table, settings.alpha), *complaints]), ""]
    parts += [_METHOD.format(alpha=settings.alpha, few=settings.few_seeds), ""]
    for measure, better in settings.measures.items():
        own = table[table["measure"] == measure]
        parts += [f"## {measure} ({better} is better)", ""]
        baseline = own["baseline_mean"].dropna()
        if len(baseline):
            line = f"`{settings.baseline}`: {number_cell(baseline.iloc[0])}, noise floor "
            parts += [line + f"{number_cell(own['noise_floor'].iloc[0])}.", ""]
        parts += [markdown_table(_cells(own)), ""]
    return "\n".join([*parts, "## What the arms cost", "", markdown_table(rounded(costs)), ""])


def _findings(table: pd.DataFrame, alpha: float) -> list[str]:
    lines = []
    for verdict in ("better", "worse", "suggestive: better", "suggestive: worse"):
        own = table[table["verdict"] == verdict]
        if len(own):
            lines.append(
                f"{verdict.capitalize()}: " + ", ".join(f"{row.arm} ({row.measure})" for row in own.itertuples())
            )
    lines = lines or ["No difference is shown."]
    by_chance = table[(table["verdict"] == "noise floor") & (table["p"] < alpha)]
    if len(by_chance):
        measures = ", ".join(by_chance["measure"])
        lines.append(
            f"The baseline differs from itself (A/A) on {measures}: by chance, or the seeds are not all that differs."
        )
    return lines


def _cells(own: pd.DataFrame) -> pd.DataFrame:
    shown = rounded(own[_SHOWN])
    intervals = [
        f"[{number_cell(low)}, {number_cell(high)}]" for low, high in zip(own["ci_low"], own["ci_high"], strict=True)
    ]
    shown.insert(3, "interval", intervals)
    return shown
