"""The exit gates of track `editor`: the seed's criteria, and beside them what only a real editor passes."""

from __future__ import annotations

from soundgate.evaluation.gates import judge_gated
from soundgate.tracks.editor.audit.settings import AuditThresholds
from soundgate.tracks.editor.vocabulary import Label

# Whose edits the policy's must earn more than.
OTHERS = ("all_keep", "majority", "constant_ratio", "imitation", "collapse", "imitation_collapse")
# Labels that do not say all of what is done.
UNSAID = (Label.EFFECT.name, Label.TRANSITION.name)


def phase1_gates(measured: dict, thresholds: AuditThresholds) -> dict[str, dict]:
    """Hold the reconstruction model against the seed's criteria, and ask whether it obeys its labels.

    Args:
        measured: from `soundgate.tracks.editor.audit.reconstruction.summarise`.
        thresholds: of the gates.
    """
    made, raw, swapped = (measured[kind] for kind in ("labels", "raw", "swapped"))
    gates = {
        "reconstruction_l1": _held(made["l1"], "below", thresholds.l1, raw["l1"]),
        "reconstruction_stft": _held(made["stft"], "below", thresholds.stft, raw["stft"]),
        "reconstruction_keep": _held(made["keep"], "above", thresholds.keep_preserved, swapped["keep"]),
        "reconstruction_obeys_labels": _margin(measured["swapped_over_labels"], thresholds),
        "reconstruction_over_raw": _margin(measured["raw_over_labels"], thresholds),
        "reconstruction_over_rule": _above(measured["rule_over_labels"], thresholds.over_rule_db),
    }
    for name, over in measured["rule_over_labels_by_label"].items():
        # Of these the definition does not say all; of the others it does, and worse than it is all a model can be.
        least = thresholds.over_rule_db if name in UNSAID else -thresholds.over_rule_db
        gates[f"reconstruction_{name.lower()}_over_rule"] = _above(over, least)
    return gates


def policy_gates(labels: dict, rewards: dict, thresholds: AuditThresholds) -> dict[str, dict]:
    """Hold the policy against the seed's criteria, and against imitation and editors that know little.

    Args:
        labels: from `soundgate.tracks.editor.policy.scoring.summarise_labels`.
        rewards: from `summarise_rewards` there, with ``with_labels`` for each method.
        thresholds: of the gates.
    """
    own = labels["policy"]
    knowing_nothing = max(("all_keep", "majority"), key=lambda name: labels[name]["accuracy"]["value"])
    gates = {
        "policy_reward": _held(
            rewards["policy"]["with_labels"], "above", thresholds.reward, rewards["all_keep"]["with_labels"]
        ),
        "policy_accuracy": _held(
            own["accuracy"], "above", thresholds.accuracy, labels[knowing_nothing]["accuracy"]
        ),
        "policy_duration_error": _held(
            own["duration_error"], "below", thresholds.duration_error, labels["constant_ratio"]["duration_error"]
        ),
        "policy_duration_over_constant_ratio": _margin(own["duration_over"]["constant_ratio"], thresholds),
    }  # fmt: skip
    for other in OTHERS:
        gates[f"policy_over_{other}"] = _margin(rewards["policy"]["over"][other], thresholds)
    control = max(labels[name]["macro_f1"]["value"] for name in ("all_keep", "majority"))
    over = {key: _less(own["macro_f1"][key], control) for key in ("value", "ci_low", "ci_high")}
    gates["policy_macro_f1_over_control"] = _margin(over | {"n": own["macro_f1"]["n"]}, thresholds)
    return gates


def sound_gates(truth: dict, vocoder: dict, thresholds: AuditThresholds) -> dict[str, dict]:
    """Hold reward, renderer and vocoder against real audio.

    Args:
        truth: ``equally_wrong`` and ``identical``, an estimate each, with the ``control`` of each; see
            `soundgate.tracks.editor.audit.run.Audit`.
        vocoder: the vocoder's metrics: ``over``, by how much its figures are lower than those of each baseline; see
            `soundgate.tracks.editor.vocoder.measures.measure_vocoder`.
        thresholds: of the gates.
    """
    agreement, identical = truth["equally_wrong"], truth["identical"]
    gates = {
        "reward_agrees_among_equally_wrong": _held(
            agreement, "above", thresholds.reward_agreement, {"value": agreement["control"]}
        ),
        "kept_samples_identical": _held(identical, "above", 1.0, {"value": identical["control"]}),
    }
    for baseline, figures in vocoder["over"].items():
        for figure, estimate in figures.items():
            gates[f"vocoder_{figure}_over_{baseline}"] = _margin(estimate, thresholds)
    return gates


def _held(estimate: dict, side: str, threshold: float, control: dict) -> dict:
    return judge_gated(estimate | {"side": side, "threshold": threshold, "control": control["value"]})


def _margin(estimate: dict, thresholds: AuditThresholds) -> dict:
    """Hold a difference against the smallest margin that counts."""
    return _above(estimate, thresholds.margin)


def _above(estimate: dict, threshold: float) -> dict:
    return judge_gated(estimate | {"side": "above", "threshold": threshold})


def _less(value: float | None, control: float) -> float | None:
    return None if value is None else value - control
