"""What was collected and what it cost: arms, seeds, seconds, memory, and what makes runs incomparable."""

from __future__ import annotations

import pandas as pd

from soundgate.evaluation.verdicts import CANNOT_BE_JUDGED
from soundgate.tracks.voice.ablations.collected import PAIR, Collected
from soundgate.tracks.voice.ablations.judges import deaf_judges
from soundgate.tracks.voice.ablations.settings import ComparisonSettings

COLUMNS = ["arm", "n_seeds", "missing_seeds", "train_seconds", "gpu_seconds", "peak_memory_mb"]


def coverage(settings: ComparisonSettings, collected: Collected) -> pd.DataFrame:
    """Return what there is of each arm.

    Args:
        settings: see `ComparisonSettings`.
        collected: the runs.

    Returns:
        One row for each arm with the columns ``COLUMNS``: ``missing_seeds`` are those that some other arm has, as
        text; ``train_seconds``, ``gpu_seconds`` (0 on a CPU) and ``peak_memory_mb`` are means over the runs that know
        them, else NaN.
    """
    runs, rows = collected.runs, []
    every_seed = set(runs["seed"])
    for arm in settings.all_arms:
        own = runs[runs["arm"] == arm]
        missing = sorted(every_seed - set(own["seed"]))
        costs = {name: _mean(own, name) for name in ("train_seconds", "gpu_seconds", "peak_memory_mb")}
        rows.append({"arm": arm, "n_seeds": len(own), "missing_seeds": " ".join(map(str, missing))} | costs)
    return pd.DataFrame(rows, columns=COLUMNS)


def _mean(runs: pd.DataFrame, name: str) -> float:
    values = pd.to_numeric(runs[name], errors="coerce") if name in runs else pd.Series(dtype=float)
    return float(values.mean())


def complaints(settings: ComparisonSettings, collected: Collected) -> list[str]:
    """Return in words whatever keeps the runs from being compared as they should be; empty if nothing does."""
    runs, lines = collected.runs, []
    counts = runs.groupby("arm")["seed"].size() if len(runs) else pd.Series(dtype=int)
    absent = [arm for arm in settings.all_arms if arm not in counts.index]
    if absent:
        lines.append(f"Not run: {', '.join(absent)}.")
    few = [f"{arm} ({counts[arm]})" for arm in settings.all_arms if 0 < counts.get(arm, 0) < settings.fewest_seeds]
    if few:
        lines.append(f"Fewer than {settings.fewest_seeds} seeds, so nothing can be shown: {', '.join(few)}.")
    if len(runs):
        reasons = deaf_judges(settings, runs)
        lines += [f"{endpoint}: {CANNOT_BE_JUDGED}, {why}." for endpoint, why in reasons.items()]
    unknown = sorted(set(counts.index) - set(settings.all_arms))
    if unknown:
        lines.append(f"Collected, but no arm of voice.ablations: {', '.join(unknown)}.")
    for name, what in (("code", "versions of the code"), ("overrides", "sets of further overrides")):
        kinds = runs[name].astype(str).nunique() if name in runs else 1
        if kinds > 1:
            lines.append(f"The runs are of {kinds} {what}, and differ by more than their arm: run the arms again.")
    lines += _uneven_pairs(settings, collected.scores)
    return lines


def _uneven_pairs(settings: ComparisonSettings, scores: pd.DataFrame) -> list[str]:
    lines = []
    for measure in settings.measures:
        own = scores[scores["measure"] == measure]
        n_runs = len(own.drop_duplicates(["arm", "seed"]))
        known = own[own["value"].notna()].groupby(PAIR).size()
        partial = int((known < n_runs).sum())
        if partial:
            lines.append(f"{measure}: {partial} of {len(known)} evaluation pairs are not in every run, and left out.")
        if not len(own) and len(scores):
            lines.append(f"{measure}: no run has this measure.")
    return lines
