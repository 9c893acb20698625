"""Arms against the baseline: differences of the same seed on the same evaluation pair, averaged by seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from soundgate.evaluation.multiple import Flipped, flipped_t, max_t
from soundgate.evaluation.statistics import ratio_estimate
from soundgate.evaluation.verdicts import CANNOT_BE_JUDGED
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.ablations.collected import PAIR, Collected
from soundgate.tracks.voice.ablations.judges import deaf_judges
from soundgate.tracks.voice.ablations.settings import ComparisonSettings

STAGE = "voice-ablations"
COLUMNS = [
    "arm", "measure", "role", "better_is", "arm_mean", "baseline_mean", "difference", "ci_low", "ci_high",
    "effect_size", "p", "p_adjusted", "noise_floor", "n_seeds", "n_pairs", "pairs_agree", "verdict",
]  # fmt: skip
PRIMARY, SECONDARY = "primary", "secondary"


class Paired(NamedTuple):
    """One arm beside the baseline on one measure, on the seeds and pairs that all of them have.

    Args:
        arm: values of the arm, float [n_pairs, n_seeds].
        baseline: of the baseline, for the same pairs and seeds.
        again: of the baseline trained from other seeds (A/A), for the same; None where it was not run.
        seeds: [n_seeds], rising.
    """

    arm: np.ndarray
    baseline: np.ndarray
    again: np.ndarray | None
    seeds: tuple[int, ...]

    @property
    def by_seed(self) -> np.ndarray:
        """The mean difference of each seed, float [n_seeds]: what chance varies, and so the unit of inference."""
        return (self.arm - self.baseline).mean(axis=0)

    @property
    def noise_floor(self) -> float:
        """The difference that the A/A comparison would show with this arm's spread over seeds.

        It is the A/A comparison's paired t, on the same pairs and seeds, times the standard error of the arm's mean
        difference: what pairing spares the arm, it spares the floor. NaN without A/A or with one seed.
        """
        own = self.by_seed
        if self.again is None or len(own) < 2:
            return float("nan")
        again = _paired_t((self.again - self.baseline).mean(axis=0))
        error = np.std(own, ddof=1) / np.sqrt(len(own))
        return float(again * error) if error else 0.0


def _paired_t(differences: np.ndarray) -> float:
    return float(flipped_t(np.ones((1, len(differences))), differences[:, None])[0, 0])


def paired(scores: pd.DataFrame, arm: str, settings: ComparisonSettings, measure: str) -> Paired:
    """Return the values of the seeds and of the pairs that the arm, the baseline and, if run, A/A have.

    Args:
        scores: see `Collected`.
        arm: which.
        settings: see `ComparisonSettings`.
        measure: which.
    """
    own = scores[scores["measure"] == measure]
    table = own.pivot(index=PAIR, columns=["arm", "seed"], values="value").sort_index()
    return _matched(table, arm, settings)


def _matched(table: pd.DataFrame, arm: str, settings: ComparisonSettings) -> Paired:
    by_arm: dict[str, set[int]] = {}
    for name, seed in table.columns:
        by_arm.setdefault(name, set()).add(seed)
    names = [arm, settings.baseline, *([settings.again] if settings.again in by_arm else [])]
    seeds = sorted(set.intersection(*(by_arm.get(name, set()) for name in names)))
    values = [table[[(name, seed) for seed in seeds]].to_numpy(float) for name in names]
    known = np.isfinite(values).all(axis=(0, 2))
    own, baseline, *again = (part[known] for part in values)
    return Paired(own, baseline, again[0] if again else None, tuple(seeds))


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


def compare(settings: ComparisonSettings, collected: Collected) -> pd.DataFrame:
    """Hold every arm against the baseline on every measure; verdicts are of the endpoints alone.

    On an endpoint the arms are tested together by sign flips of whole seeds (`soundgate.evaluation.multiple.max_t`),
    and p-values are multiplied by the number of endpoints. A difference is one if it survives that, exceeds the noise
    floor, and the endpoint's judge hears.

    Args:
        settings: see `ComparisonSettings`.
        collected: the runs.

    Returns:
        One row for each arm but the baseline and each measure, with the columns ``COLUMNS``: ``effect_size`` as in
        `effect_size`; ``p`` of the row alone and ``p_adjusted``, of endpoints; ``noise_floor`` as in `Paired`;
        ``pairs_agree`` the share of evaluation pairs whose own mean difference has the sign of the whole. What cannot
        be told is NaN.
    """
    deaf, arms, rows = deaf_judges(settings, collected.runs), settings.all_arms[1:], {}
    for measure in settings.measures:
        own = collected.scores[collected.scores["measure"] == measure]
        by_run = own.pivot(index=PAIR, columns=["arm", "seed"], values="value").sort_index()
        matched = {arm: _matched(by_run, arm, settings) for arm in arms}
        for arm, values in matched.items():
            rows[arm, measure] = _row(settings, values, arm, measure)
        if measure in settings.endpoints:
            for arm, p in _tested(settings, matched, measure).items():
                rows[arm, measure] |= p
    table = pd.DataFrame([rows[arm, measure] for arm in arms for measure in settings.measures], columns=COLUMNS)
    table["verdict"] = [_verdict(settings, row, deaf) for _, row in table.iterrows()]
    return table


def _row(settings: ComparisonSettings, values: Paired, arm: str, measure: str) -> dict:
    role = PRIMARY if measure in settings.endpoints else SECONDARY
    row = {"arm": arm, "measure": measure, "role": role, "better_is": settings.measures[measure]}
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
        "noise_floor": values.noise_floor,
        "n_seeds": n_seeds,
        "n_pairs": n_pairs,
        "pairs_agree": float(np.mean(np.sign(by_pair) == np.sign(estimate.value))),
    }


def _tested(settings: ComparisonSettings, matched: dict[str, Paired], measure: str) -> dict[str, dict]:
    """Return ``p`` and ``p_adjusted`` of each arm on an endpoint; A/A is tested alone."""
    seeds = sorted({seed for values in matched.values() for seed in values.seeds})
    if not seeds:
        return {}
    by_seed = np.full((len(seeds), len(matched)), np.nan)
    for column, values in enumerate(matched.values()):
        if values.arm.size:
            by_seed[np.isin(seeds, values.seeds), column] = values.by_seed
    again = np.array([arm == settings.again for arm in matched])

    def flipped(which: np.ndarray) -> Flipped:
        return max_t(by_seed[:, which], keyed_generator(0, STAGE, f"flips {measure}"))

    tested, own = flipped(~again), flipped(again)
    others = [arm for arm in matched if arm != settings.again]
    adjusted = np.minimum(tested.adjusted * len(settings.endpoints), 1.0)
    found = {arm: {"p": tested.alone[k], "p_adjusted": adjusted[k]} for k, arm in enumerate(others)}
    return found | {settings.again: {"p": own.alone[0]}}


def _verdict(settings: ComparisonSettings, row: pd.Series, deaf: dict[str, str]) -> str:
    if not row["n_seeds"]:
        return "not run"
    if row["arm"] == settings.again:
        return "noise floor"
    if row["role"] == SECONDARY:
        return SECONDARY
    if row["measure"] in deaf:
        return CANNOT_BE_JUDGED
    if row["n_seeds"] < settings.fewest_seeds:
        return "too few seeds"
    if np.isnan(row["noise_floor"]):
        return "no noise floor, no statement"
    if row["p_adjusted"] <= settings.alpha and abs(row["difference"]) > row["noise_floor"]:
        return "better" if (row["difference"] > 0) == (row["better_is"] == "higher") else "worse"
    return "no difference shown"
