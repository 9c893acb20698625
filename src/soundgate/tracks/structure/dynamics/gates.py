"""What Tier 1 is held against: that its models are sound, and what they find."""

from __future__ import annotations

from soundgate.evaluation.gates import judge_gated, verdict
from soundgate.tracks.structure.dynamics.settings import InjectThresholds, TrainThresholds


def train_gates(metrics: dict, thresholds: TrainThresholds) -> dict[str, dict]:
    """Return verdicts on every horizon: the gain over the linear model, and over contexts of other utterances.

    The first is over the better of two linear models, with Gaussian errors and in the network's own family (untrained);
    its control is what the network keeps with the other contexts. That of the second is what a model without context
    gains by its own.

    Args:
        metrics: as `train_and_measure` returns them.
        thresholds: of the section.
    """
    gates = {}
    for horizon in sorted(metrics["horizons"], key=int):
        entry = metrics["horizons"][horizon]
        linear = min((entry["gain"][name] for name in ("linear", "untrained")), key=lambda gain: gain["value"])
        control = {"control": entry["mismatched_over_linear"]["value"]}
        gates[f"gain_over_linear_{horizon}"] = _held(linear | control, "above", thresholds.min_gain)
        context = entry["gain_over_mismatched"] | {"control": 0.0}
        gates[f"gain_over_mismatched_{horizon}"] = _held(context, "above", thresholds.min_gain)
    return gates


def inject_gates(metrics: dict, thresholds: InjectThresholds) -> dict[str, dict]:
    """Return verdicts on the teacher-forced gain over the linear model, and on ensembles of free runs.

    Free runs are judged at the farthest horizon. The control of their excess is what the same model's runs have that
    take the expected step instead of drawing.

    Args:
        metrics: as `diagnose` returns them.
        thresholds: of the section.
    """
    ensembles = metrics["ensembles"]
    farthest = ensembles[max(ensembles, key=int)]
    excess = farthest["excess"] | {"control": farthest["excess_undrawn"]["value"]}
    return {
        "teacher_forced_gain_over_linear": _held(metrics["gain_over_linear"], "above", thresholds.min_gain),
        "free_runs_finite": verdict(metrics["finite"], "above", thresholds.finite),
        "free_run_excess": _held(excess, "below", thresholds.max_excess),
        "free_run_over_still": _held(farthest["over_still"], "above", thresholds.min_skill),
    }


def _held(estimate: dict, side: str, threshold: float) -> dict:
    return judge_gated(estimate | {"side": side, "threshold": threshold})
