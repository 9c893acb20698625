"""The exit gates of track `voice`: the seed's criteria, and beside them what only a real converter passes."""

from __future__ import annotations

from soundgate.tracks.voice.audit.controlled import Side, beside, best_of, controlled, less
from soundgate.tracks.voice.audit.pairs import UNSEEN
from soundgate.tracks.voice.audit.settings import AuditThresholds
from soundgate.tracks.voice.audit.systems import CONVERTED, COPY_SYNTHESIS, IDENTITY, PITCH_SHIFT, RANDOM, TARGET


def embedding_gates(found: dict) -> dict[str, dict]:
    """Judge what stage voice-embeddings measured and handed on with its thresholds.

    Args:
        found: that stage's metrics, with ``gates`` as `soundgate.evaluation.gates.gated` makes them.
    """
    return {
        f"embedding_{name}": controlled(
            number, number["side"], number["threshold"],
            {RANDOM: number["control"]} if "control" in number else {}, "embeddings of two speakers or more",
        )
        for name, number in found["gates"].items()
    }  # fmt: skip


def health_gates(found: dict, thresholds: AuditThresholds) -> dict[str, dict]:
    """Hold the health monitor, tried on faults and trainings that no rule was adjusted by, against thresholds.

    The control of what is found is the share of healthy trainings with any alarm: a monitor that always alarms, or
    never, has two numbers that are the same.

    Args:
        found: ``found``, ``false_alarms`` and ``healthy_runs_with_alarm``, estimates.
        thresholds: of the gates.
    """
    healthy = {"healthy_trainings": found["healthy_runs_with_alarm"]["value"]}
    return {
        "held_out_faults_found": controlled(
            found["found"], "above", thresholds.faults_found, healthy, "trainings with held-out faults"
        ),
        "held_out_false_alarms": controlled(
            found["false_alarms"], "below", thresholds.false_alarms, {}, "held-out trainings without fault"
        ),
    }


def conversion_gates(found: dict, thresholds: AuditThresholds) -> dict[str, dict]:
    """Hold conversions of unseen speakers against the controls.

    A converter that does nothing fails ``conversion_closer_to_target``; one that ignores the target
    ``conversion_follows_target``; one that shifts the pitch ``conversion_over_pitch_shift``; one that plays back the
    target ``content_over_shuffled`` and ``f0_correlation``; one that a method without training equals
    ``conversion_over_best_baseline``. Every gate is shown beside untrained weights and the best of these methods.

    Args:
        found: from `soundgate.tracks.voice.audit.summary.summarise`.
        thresholds: of the gates.
    """
    systems, over = found["systems"][UNSEEN], found["over"]
    similarity = {name: own["similarity_to_target"]["value"] for name, own in systems.items()}
    best = next(iter(best_of(similarity, "above")))

    def gate(measure: str, side: Side, threshold: float, control: str, needs: str, system: str = CONVERTED) -> dict:
        return controlled(
            systems[system][measure], side, threshold, beside(systems, measure, side, control), needs
        )  # fmt: skip

    def over_control(control: str, threshold: float) -> dict:
        values = {name: less(value, similarity[control]) for name, value in similarity.items()}
        shown = {RANDOM: values[RANDOM]} | best_of(values, "above")
        return controlled(over[control], "above", threshold, shown, "similarity to the target")

    closer, margin = thresholds.closer_to_target, thresholds.margin
    uninvolved = "similarity to uninvolved speakers, which needs three speakers or more"
    return {
        "judge_hears_real_targets": gate("closer", "above", closer, IDENTITY, "similarity to the target", TARGET),
        "conversion_closer_to_target": gate("closer", "above", closer, IDENTITY, "similarity to the target"),
        "conversion_follows_target": gate("follows", "above", margin, IDENTITY, uninvolved),
        "conversion_over_pitch_shift": over_control(PITCH_SHIFT, margin),
        "conversion_over_best_baseline": over_control(best, thresholds.over_baseline),
        "content_over_shuffled": gate("content_margin", "above", margin, TARGET, "units of an audible source"),
        "f0_correlation": gate("f0_correlation", "above", thresholds.f0_correlation, TARGET, "a voiced source"),
        "f0_error_held_out": gate("f0_error", "below", thresholds.f0_error, IDENTITY, "a voiced target"),
    }


def reconstruction_gates(found: dict, thresholds: AuditThresholds) -> dict[str, dict]:
    """Hold reconstructions of unseen speakers against a distance, and against random weights; see above."""
    by_method, needs = found["reconstruction"], "distance of a reconstruction"
    random = by_method[RANDOM]["mel_db"]["value"]
    nearer = {name: less(random, own["mel_db"]["value"]) for name, own in by_method.items()}
    return {
        "reconstruction_mel_db": controlled(
            by_method[COPY_SYNTHESIS]["mel_db"], "below", thresholds.mel_db, beside(by_method, "mel_db", "below"), needs
        ),
        "reconstruction_over_random": controlled(
            found["reconstruction_over_random"], "above", thresholds.margin, best_of(nearer, "above"), needs
        ),
    }
