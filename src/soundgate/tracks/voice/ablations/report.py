"""The comparison for people: what may be said first, then the tables it rests on."""

from __future__ import annotations

import pandas as pd

from soundgate.evaluation.tables import markdown_table, number_cell, rounded
from soundgate.tracks.voice.ablations.settings import ComparisonSettings

_SHOWN = ["arm", "arm_mean", "difference", "effect_size", "noise_floor", "n_seeds", "pairs_agree"]
_TESTED = [*_SHOWN, "p", "p_adjusted", "verdict"]
_METHOD = (
    "Differences are of the same seed on the same evaluation pair, averaged over pairs; intervals (95 %, not "
    "adjusted), effect sizes (Hedges-corrected d_z) and p-values are over seeds, so they speak of other trainings, not "
    "of other speakers. Verdicts are of the endpoints alone, which were fixed beforehand: {endpoints}. `p_adjusted` is "
    "of sign flips of whole seeds, by the largest paired t over all arms, times {n} endpoints. A difference is called "
    "one if it is at most {alpha:g} and the difference exceeds the noise floor: the paired t of the baseline against "
    "itself (A/A, other seeds) on the same pairs and seeds, times the arm's standard error. With fewer than {few} "
    "seeds no difference can be shown."
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
    endpoints = settings.endpoints
    parts += [*(f"- {line}" for line in [*_findings(table, settings.level), *complaints]), ""]
    method = {"endpoints": ", ".join(endpoints), "n": len(endpoints), "few": settings.fewest_seeds}
    parts += [_METHOD.format(alpha=settings.alpha, **method), ""]
    for measure in [*endpoints, *(name for name in settings.measures if name not in endpoints)]:
        own = table[table["measure"] == measure]
        role = "endpoint" if measure in endpoints else "secondary, no verdict"
        parts += [f"## {measure} ({role}; {settings.measures[measure]} is better)", ""]
        baseline = own["baseline_mean"].dropna()
        if len(baseline):
            parts += [f"`{settings.baseline}`: {number_cell(baseline.iloc[0])}.", ""]
        parts += [markdown_table(_cells(own, _TESTED if measure in endpoints else _SHOWN)), ""]
    return "\n".join([*parts, "## What the arms cost", "", markdown_table(rounded(costs)), ""])


def _findings(table: pd.DataFrame, level: float) -> list[str]:
    lines = []
    for verdict in ("better", "worse"):
        own = table[table["verdict"] == verdict]
        if len(own):
            lines.append(
                f"{verdict.capitalize()}: " + ", ".join(f"{row.arm} ({row.measure})" for row in own.itertuples())
            )
    lines = lines or ["No difference is shown."]
    by_chance = table[(table["verdict"] == "noise floor") & (table["p"] <= level)]
    if len(by_chance):
        measures = ", ".join(by_chance["measure"])
        lines.append(
            f"The baseline differs from itself (A/A) on {measures}: by chance, or the seeds are not all that differs."
        )
    return lines


def _cells(own: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    shown = rounded(own[columns])
    intervals = [
        f"[{number_cell(low)}, {number_cell(high)}]" for low, high in zip(own["ci_low"], own["ci_high"], strict=True)
    ]
    shown.insert(3, "interval", intervals)
    return shown
