"""Two decisions on the same metrics, the seed's and the sound one; each names the first criterion missed."""

from __future__ import annotations

from soundgate.evaluation.gates import judge_gated, verdict
from soundgate.evaluation.verdicts import FAIL, PASS, UNDECIDED, overall
from soundgate.tracks.structure.settings import DecisionSettings, SeedThresholds, SoundThresholds


def seed_criteria(condition: dict, thresholds: SeedThresholds) -> dict[str, dict]:
    """Hold one condition's numbers against the seed's criteria, in the seed's order.

    Args:
        condition: the condition's entry in the metrics.
        thresholds: the seed's.

    Returns:
        Verdicts by criterion. Ratios are in-sample on train frames, as the seed computed them.
    """
    first, *later = condition["lags"].values()
    ratios, numbers = first["seed"]["variance_ratio_train"], first["seed"]
    checks = {
        "variance_ratio": verdict(ratios["all"], "below", thresholds.variance_ratio),
        "excluded_mass": verdict(numbers["excluded_train"], "below", thresholds.excluded_mass),
        "cross_speaker_degradation": verdict(numbers["degradation"], "below", thresholds.degradation),
    }
    for part in ("high_energy", "medial"):
        checks[f"slice_{part}"] = verdict(ratios[part], "below", thresholds.persistence)
    for lag, entry in zip(list(condition["lags"])[1:], later, strict=True):
        ratio = entry["seed"]["variance_ratio_train"]["all"]
        checks[f"persistence_lag_{lag}"] = verdict(ratio, "below", thresholds.persistence)
    random = condition["random"]["variance_ratio_train"]
    distance = None if random is None else abs(random - 1)
    checks["random_baseline"] = verdict(distance, "below", thresholds.baseline_tolerance)
    return checks


def sound_criteria(condition: dict, thresholds: SoundThresholds) -> dict[str, dict]:
    """Hold one condition's numbers at the first lag against the sound criteria.

    Args:
        condition: the condition's entry in the metrics.
        thresholds: of the sound decision.

    Returns:
        Verdicts by criterion: the gain on new speakers, both corrected p-values, the loss from seen to new speakers,
        and the gain left once energy and position are taken out.
    """
    sound = next(iter(condition["lags"].values()))["sound"]
    gain, left = sound["gain_new"]["innovation"], sound["gain_new"]["deconfounded"]
    checks = {
        "gain": _above(gain, thresholds.min_gain),
        "p_swap": verdict(sound["p_swap"], "below", thresholds.p_value),
    }
    if sound["p_surrogate"] is not None:
        checks["p_surrogate"] = verdict(sound["p_surrogate"], "below", thresholds.p_value)
    checks["cross_speaker_degradation"] = verdict(sound["degradation"], "below", thresholds.degradation)
    checks["gain_without_confounds"] = _above(left, thresholds.min_gain)
    return checks


def _above(estimate: dict, threshold: float) -> dict:
    return judge_gated(estimate | {"side": "above", "threshold": threshold})


def decide(metrics: dict, settings: DecisionSettings) -> dict:
    """Take both decisions.

    Args:
        metrics: as `analyse` returns them.
        settings: thresholds.

    Returns:
        For ``seed`` and ``sound``: ``verdict``, the conditions that pass, and for each condition its criteria and the
        first that does not pass (None where all do). Phase 0 passes where one condition passes every criterion; it is
        undecided where none does, but one fails none.
    """
    decisions = {}
    for name, criteria, thresholds in (
        ("seed", seed_criteria, settings.seed),
        ("sound", sound_criteria, settings.sound),
    ):
        checked = {c: criteria(entry, thresholds) for c, entry in metrics["conditions"].items()}
        failed = {c: _first_missed(checks) for c, checks in checked.items()}
        of_conditions = {overall(v["verdict"] for v in checks.values()) for checks in checked.values()}
        passing = [c for c, first in failed.items() if first is None]
        decisions[name] = {
            "verdict": next((v for v in (PASS, UNDECIDED) if v in of_conditions), FAIL),
            "passing_conditions": passing,
            "first_failed": failed,
            "criteria": checked,
        }
    return decisions


def _first_missed(checks: dict[str, dict]) -> str | None:
    return next((criterion for criterion, check in checks.items() if check["verdict"] != PASS), None)


def gate_verdicts(decisions: dict) -> dict[str, dict]:
    """Return the track's exit gates: the criteria of each decision's leading condition, with its name."""
    return {
        f"{name}.{criterion}": check | {"condition": leader}
        for name, decision in decisions.items()
        for leader in [leading_condition(decision)]
        for criterion, check in decision["criteria"][leader].items()
    }


def leading_condition(decision: dict) -> str:
    """Return the condition that keeps the most criteria; ties go to the larger margin of the first criterion."""

    def key(condition: str) -> tuple[int, float]:
        checks = list(decision["criteria"][condition].values())
        margin = checks[0]["margin"]
        return sum(check["verdict"] == PASS for check in checks), float("-inf") if margin is None else margin

    return max(decision["criteria"], key=key)
