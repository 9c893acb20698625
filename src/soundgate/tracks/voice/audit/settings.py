"""The section of the audit."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section


class AuditThresholds(Section):
    """What the gates demand.

    Args:
        closer_to_target: share of pairs that the judge hears closer to the target than to the source, at least.
        margin: that a difference must have at least; above 0, since doing what a control does is no gain.
        over_baseline: by which conversions must exceed the best method without training in similarity; above 0.
        mel_db: distance of a reconstruction's mel spectrogram, at most.
        f0_correlation: of the log-F0 of output and source, at least.
        f0_error: distance of an output's mean pitch from the target's, semitones, at most.
        faults_found: share of trainings with a held-out fault in which the health monitor alarms, at least.
        false_alarms: its alarms in 1,000 steps where nothing is wrong, at most.
    """

    closer_to_target: float = Field(ge=0.5, lt=1)
    margin: float = Field(gt=0)
    over_baseline: float = Field(gt=0)
    mel_db: float = Field(gt=0)
    f0_correlation: float = Field(ge=-1, le=1)
    f0_error: float = Field(gt=0)
    faults_found: float = Field(ge=0, le=1)
    false_alarms: float = Field(ge=0)


class EvaluationSettings(Section):
    """What is converted to be measured; arms of an ablation share it, whatever they train with.

    Args:
        seed: of roles and pairs; not the experiment's, so that runs with other seeds hear the same pairs.
        n_content: utterances to convert of each speaker, at most.
        n_enrolment: utterances that a converter knows a target's voice from, at most.
        n_pairs: ordered pairs of source utterance and target speaker, of unseen speakers, at most.
        n_seen_pairs: the same of speakers trained on, in utterances held out.
        duration_s: seconds of each source utterance, from its middle.
    """

    seed: int
    n_content: int = Field(ge=1)
    n_enrolment: int = Field(ge=1)
    n_pairs: int = Field(ge=2)
    n_seen_pairs: int = Field(ge=0)
    duration_s: float = Field(gt=0.5)


class AuditSettings(Section):
    """Section ``voice.audit``.

    Args:
        evaluation: see `EvaluationSettings`.
        thresholds: see `AuditThresholds`.
        griffin_lim_iterations: of the copy-synthesis that reconstructions are held against.
        n_bootstrap: resamples of each interval.
    """

    evaluation: EvaluationSettings
    thresholds: AuditThresholds
    griffin_lim_iterations: int = Field(ge=1)
    n_bootstrap: int = Field(ge=100)
