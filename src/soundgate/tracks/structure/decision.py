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
        Verdicts by criterion: the gain on new speakers, the corrected p-values, the loss from seen to new speakers
        by its interval (undecided where there is no gain to lose), and the gain left once energy and position are
        taken out.
    """
    sound = next(iter(condition["lags"].values()))["sound"]
    gain, left = sound["gain_new"]["innovation"], sound["gain_new"]["deconfounded"]
    checks = {
        "gain": _above(gain, thresholds.min_gain),
        "p_swap": verdict(sound["p_swap"], "below", thresholds.p_value),
    }
    for null in ("p_surrogate", "p_iaaft"):
        if sound[null] is not None:
            checks[null] = verdict(sound[null], "below", thresholds.p_value)
    checks["loss_on_new_speakers"] = _loss(sound["degradation"], thresholds.degradation)
    checks["gain_without_confounds"] = _above(left, thresholds.min_gain)
    return checks


def _above(estimate: dict, threshold: float) -> dict:
    return judge_gated(estimate | {"side": "above", "threshold": threshold})


def _loss(estimate: dict, threshold: float) -> dict:
    nothing = {"deaf": "there is no gain to lose"} if estimate["value"] is None else {}
    return judge_gated(estimate | nothing | {"side": "below", "threshold": threshold})


def reasons_to_doubt(metrics: dict, checked: dict[str, dict], thresholds: SoundThresholds) -> list[str]:
    """Return why failing conditions are no proof that there is nothing to find; none where they are.

    Args:
        metrics: with ``detectable_gain``, ``ceiling`` and the conditions.
        checked: the sound criteria of every condition.
        thresholds: of the sound decision.

    Returns:
        A sentence where no condition's gain passes and one of the smallest useful size might have been missed, and one
        where the ceiling's gain is not surely below that size and clearly above every condition's: its lower bound
        above all their upper bounds.
    """
    reasons, detectable, ceiling = [], metrics["detectable_gain"], metrics["ceiling"]
    missed = not any(checks["gain"]["verdict"] == PASS for checks in checked.values())
    if missed and (detectable is None or detectable > thresholds.min_gain):
        found = "none of the gains planted" if detectable is None else f"only a gain of {detectable:g} or more"
        reasons.append(
            f"with a probability of {metrics['probability']:.0%} {found} would have been found, "
            f"the threshold is {thresholds.min_gain:g}"
        )
    uppers = [checks["gain"].get("ci_high") for checks in checked.values()]
    if ceiling is not None and None not in (ceiling["ci_low"], ceiling["ci_high"], *uppers):
        above = ceiling["ci_low"] > max(0.0, *uppers)
        if above and ceiling["ci_high"] >= thresholds.min_gain:
            reasons.append("there is structure, these tables do not hold it: a small network gains clearly more")
    return reasons


def decide(metrics: dict, settings: DecisionSettings) -> dict:
    """Take both decisions.

    Args:
        metrics: as `analyse` returns them.
        settings: thresholds.

    Returns:
        For ``seed`` and ``sound``: ``verdict``, the conditions that pass, and for each condition its criteria and the
        first that does not pass (None where all do). Phase 0 passes where one condition passes every criterion; it is
        undecided where none does, but one fails none. The sound decision has ``detectable_gain`` and ``reasons``
        besides: see `reasons_to_doubt`; where there are any, it does not fail but is undecided.
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
    sound = decisions["sound"]
    doubts = reasons_to_doubt(metrics, sound["criteria"], settings.sound) if sound["verdict"] != PASS else []
    verdict_given = UNDECIDED if doubts else sound["verdict"]
    sound |= {"verdict": verdict_given, "detectable_gain": metrics["detectable_gain"], "reasons": doubts}
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
