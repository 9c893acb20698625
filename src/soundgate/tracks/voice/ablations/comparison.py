"""Arms against the baseline: differences of the same seed on the same evaluation pair, averaged by seed."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from soundgate.evaluation.multiple import holm
from soundgate.evaluation.statistics import Estimate, ratio_estimate
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.ablations.collected import PAIR, Collected
from soundgate.tracks.voice.ablations.settings import ComparisonSettings

STAGE = "voice-ablations"
COLUMNS = [
    "arm", "measure", "better_is", "arm_mean", "baseline_mean", "difference", "ci_low", "ci_high", "effect_size", "p",
    "p_holm", "noise_floor", "n_seeds", "n_pairs", "pairs_agree", "verdict",
]  # fmt: skip


class Paired(NamedTuple):
    """One arm beside the baseline on one measure.

    Args:
        arm: values of the arm, float [n_pairs, n_seeds].
        baseline: of the baseline, for the same pairs and seeds.
    """

    arm: np.ndarray
    baseline: np.ndarray

    @property
    def by_seed(self) -> np.ndarray:
        """The mean difference of each seed, float [n_seeds]: what chance varies, and so the unit of inference."""
        return (self.arm - self.baseline).mean(axis=0)


def paired(scores: pd.DataFrame, arm: str, baseline: str, measure: str) -> Paired:
    """Return the values of the seeds that both arms have, on the pairs that all these runs have.

    Args:
        scores: see `Collected`.
        arm: one arm.
        baseline: the other.
        measure: which.
    """
    return _matched(_by_run(scores, measure), arm, baseline)


def _by_run(scores: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return one row for each evaluation pair and a column for each (arm, seed)."""
    own = scores[scores["measure"] == measure]
    return own.pivot(index=PAIR, columns=["arm", "seed"], values="value").sort_index()


def _matched(table: pd.DataFrame, arm: str, baseline: str) -> Paired:
    runs = set(table.columns)
    seeds = sorted(seed for name, seed in runs if name == arm and (baseline, seed) in runs)
    own, other = (table[[(name, seed) for seed in seeds]].to_numpy(float) for name in (arm, baseline))
    known = np.isfinite(own).all(axis=1) & np.isfinite(other).all(axis=1)
    return Paired(own[known], other[known])


def effect_size(differences: np.ndarray) -> float:
    """Return Hedges' correction of Cohen's d_z: the mean difference over its standard deviation, for few units.

    Args:
        differences: float [n], one for each seed; NaN for fewer than three, of which the corrected size has no
            expectation (the correction is 0 for two), or where they do not vary.

    Source: Lakens 2013, "Calculating and reporting effect sizes"; Hedges 1981 for the correction.
    """
    n = len(differences)
    deviation = np.std(differences, ddof=1) if n > 2 else 0.0
    if not deviation > 0:
        return float("nan")
    return float(np.mean(differences) / deviation * (1 - 3 / (4 * (n - 1) - 1)))


def paired_p(differences: np.ndarray) -> float:
    """Return the two-sided p-value of Student's paired t-test; NaN for fewer than two seeds."""
    if len(differences) < 2:
        return float("nan")
    if not np.any(differences):
        return 1.0
    with warnings.catch_warnings():  # Differences that do not vary are what they are: certain.
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(stats.ttest_1samp(differences, 0.0).pvalue)


def noise_floor(again: Estimate) -> float:
    """Return how large a mean difference chance alone explains: the far end of the A/A comparison's interval."""
    return float(np.max(np.abs([again.ci_low, again.ci_high])))


def compare(settings: ComparisonSettings, collected: Collected) -> pd.DataFrame:
    """Hold every arm against the baseline on every measure.

    p-values are corrected together (Holm) over all arms and measures but the A/A comparison. A difference is one if
    it survives that and exceeds the noise floor.

    Args:
        settings: see `ComparisonSettings`.
        collected: the runs.

    Returns:
        One row for each arm but the baseline and each measure, with the columns ``COLUMNS``: ``effect_size`` as in
        `effect_size`; ``pairs_agree`` the share of evaluation pairs whose own mean difference has the sign of the
        whole. What cannot be told is NaN.
    """
    tables = {measure: _by_run(collected.scores, measure) for measure in settings.measures}
    rows = [_row(settings, tables[measure], arm, measure) for arm in settings.all_arms[1:] for measure in tables]
    table = pd.DataFrame(rows, columns=COLUMNS)
    again = table["arm"] == settings.again
    floors = {row["measure"]: _floor_of(row) for _, row in table[again].iterrows()}
    table["noise_floor"] = table["measure"].map(floors)
    table["p_holm"] = holm(table["p"].where(~again).to_numpy(float))
    table["verdict"] = [_verdict(settings, row) for _, row in table.iterrows()]
    return table


def _row(settings: ComparisonSettings, by_run: pd.DataFrame, arm: str, measure: str) -> dict:
    row = {"arm": arm, "measure": measure, "better_is": settings.measures[measure]}
    values = _matched(by_run, arm, settings.baseline)
    n_pairs, n_seeds = values.arm.shape
    if not values.arm.size:
        return row | {"n_seeds": 0, "n_pairs": 0}
    generator = keyed_generator(0, STAGE, f"{arm} {measure}")
    differences = values.by_seed
    estimate = ratio_estimate(differences, np.ones(n_seeds), generator, settings.n_bootstrap)
    by_pair = (values.arm - values.baseline).mean(axis=1)
    return row | {
        "arm_mean": values.arm.mean(),
        "baseline_mean": values.baseline.mean(),
        "difference": estimate.value,
        "ci_low": estimate.ci_low,
        "ci_high": estimate.ci_high,
        "effect_size": effect_size(differences),
        "p": paired_p(differences),
        "n_seeds": n_seeds,
        "n_pairs": n_pairs,
        "pairs_agree": float(np.mean(np.sign(by_pair) == np.sign(estimate.value))),
    }


def _floor_of(row: pd.Series) -> float:
    return noise_floor(Estimate(row["difference"], row["ci_low"], row["ci_high"], row["n_seeds"]))


def _verdict(settings: ComparisonSettings, row: pd.Series) -> str:
    if not row["n_seeds"]:
        return "not run"
    if row["n_seeds"] == 1:
        return "one seed, no statement"
    if row["arm"] == settings.again:
        return "noise floor"
    if np.isnan(row["noise_floor"]):
        return "no noise floor, no statement"
    shown = row["p_holm"] < settings.alpha and abs(row["difference"]) > row["noise_floor"]
    verdict = "no difference shown"
    if shown:
        verdict = "better" if (row["difference"] > 0) == (row["better_is"] == "higher") else "worse"
    return f"suggestive: {verdict}" if row["n_seeds"] < settings.few_seeds else verdict
