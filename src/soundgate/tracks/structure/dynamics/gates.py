"""What Tier 1 is held against: that its models are sound, and what they find."""

from __future__ import annotations

from soundgate.evaluation.gates import judge_gated, verdict
from soundgate.tracks.structure.dynamics.settings import InjectThresholds, TrainThresholds


def train_gates(metrics: dict, thresholds: TrainThresholds) -> dict[str, dict]:
    """Return verdicts on the nearest horizon's gain, and on the free runs of all horizons.

    Args:
        metrics: as `train_and_measure` returns them.
        thresholds: of the section.
    """
    horizons = metrics["horizons"]
    nearest = horizons[min(horizons, key=int)]
    gain, control = nearest["gain"]["gaussian"], nearest["gain_mismatched"]["value"]
    gates = {"gain": _above(gain | {"control": control}, thresholds.min_gain)}
    runs = [entry["rollouts"] for entry in horizons.values() if "rollouts" in entry]
    if runs:
        finite = min(model["finite"] for run in runs for model in run.values())
        gates["rollouts_finite"] = verdict(finite, "above", thresholds.finite)
        drawn = [run["vmf_drawn"]["magnitude_ratio"] for run in runs]
        apart = [None if d["value"] is None or d["value"] <= 0 else max(d["value"], 1 / d["value"]) for d in drawn]
        worst = None if None in apart else max(apart)
        gates["rollout_magnitude"] = verdict(worst, "below", thresholds.max_magnitude_ratio)
    return gates


def inject_gates(metrics: dict, thresholds: InjectThresholds) -> dict[str, dict]:
    """Return verdicts on the teacher-forced gain and on the share of it that free runs lose.

    The share's control is what runs lose whose state is put back every few steps.

    Args:
        metrics: as `diagnose` returns them.
        thresholds: of the section.
    """
    gain, late, lost = (metrics[k] for k in ("teacher_forced_gain", "teacher_forced_gain_late", "lost_late"))
    known = lost["value"] is not None and late["value"] is not None and late["value"] > 0
    share = lost["value"] / late["value"] if known else None
    control = metrics["lost_late_put_back"]["value"] / late["value"] if known else None
    return {
        "teacher_forced_gain": _above(gain, thresholds.min_gain),
        "free_run_loss": verdict(share, "below", thresholds.max_lost, n=lost["n"], control=control),
    }


def _above(estimate: dict, threshold: float) -> dict:
    return judge_gated(estimate | {"side": "above", "threshold": threshold})
