"""The exit gates of track `voice`: the seed's criteria, and beside them what only a real converter passes."""

from __future__ import annotations

from soundgate.evaluation.gates import judge_gated
from soundgate.tracks.voice.audit.pairs import UNSEEN
from soundgate.tracks.voice.audit.settings import AuditThresholds
from soundgate.tracks.voice.audit.systems import CONVERTED, IDENTITY, TARGET


def embedding_gates(found: dict) -> dict[str, dict]:
    """Judge what stage voice-embeddings measured and handed on with its thresholds.

    Args:
        found: that stage's metrics, with ``gates`` as `soundgate.evaluation.gates.gated` makes them.
    """
    return {f"embedding_{name}": judge_gated(number) for name, number in found["gates"].items()}


def health_gates(found: dict, thresholds: AuditThresholds) -> dict[str, dict]:
    """Hold the health monitor, tried on faults and trainings that no rule was adjusted by, against thresholds.

    The control of what is found is the share of healthy trainings with any alarm: a monitor that always alarms, or
    never, has two numbers that are the same.

    Args:
        found: ``found``, ``false_alarms`` and ``healthy_runs_with_alarm``, estimates.
        thresholds: of the gates.
    """
    share, alarms = found["found"], found["false_alarms"]
    return {
        "held_out_faults_found": _held(share, "above", thresholds.faults_found, found["healthy_runs_with_alarm"]),
        "held_out_false_alarms": _held(alarms, "below", thresholds.false_alarms),
    }


def conversion_gates(found: dict, thresholds: AuditThresholds) -> dict[str, dict]:
    """Hold conversions of unseen speakers against the controls.

    A converter that does nothing fails ``conversion_closer_to_target``; one that ignores the target
    ``conversion_follows_target``; one that shifts the pitch ``conversion_over_pitch_shift``; one that plays back the
    target ``content_over_shuffled`` and ``f0_correlation``.

    Args:
        found: from `soundgate.tracks.voice.audit.summary.summarise`.
        thresholds: of the gates.
    """
    systems = found["systems"][UNSEEN]
    own, identity, target = (systems[name] for name in (CONVERTED, IDENTITY, TARGET))
    closer = thresholds.closer_to_target
    return {
        "judge_hears_real_targets": _over(target["closer"], closer, identity["closer"]),
        "conversion_closer_to_target": _over(own["closer"], closer, identity["closer"]),
        "conversion_follows_target": _over(own["follows"], thresholds.margin, identity["follows"]),
        "conversion_over_pitch_shift": _over(found["over"]["pitch_shift"], thresholds.margin),
        "content_over_shuffled": _over(own["content_margin"], thresholds.margin, target["content_margin"]),
        "f0_correlation": _held(
            own["f0_correlation"], "above", thresholds.f0_correlation, target["f0_correlation"]
        ),
        "f0_error": _held(own["f0_error"], "below", thresholds.f0_error, identity["f0_error"]),
    }  # fmt: skip


def reconstruction_gates(found: dict, thresholds: AuditThresholds) -> dict[str, dict]:
    """Hold reconstructions of unseen speakers against a distance, and against random weights; see above."""
    by_method = found["reconstruction"]
    return {
        "reconstruction_mel_db": _held(
            by_method["copy_synthesis"]["mel_db"], "below", thresholds.mel_db, by_method["random_weights"]["mel_db"]
        ),
        "reconstruction_over_random": _over(found["reconstruction_over_random"], thresholds.margin),
    }


def _held(estimate: dict, side: str, threshold: float, control: dict | None = None) -> dict:
    known = {} if control is None else {"control": control["value"]}
    return judge_gated(estimate | {"side": side, "threshold": threshold} | known)


def _over(estimate: dict, threshold: float, control: dict | None = None) -> dict:
    return _held(estimate, "above", threshold, control)
