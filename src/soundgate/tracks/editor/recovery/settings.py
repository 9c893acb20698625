"""Settings of recovery and of the stage that measures it."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section
from soundgate.tracks.editor.remaster import RemasterSettings


class RecoverySettings(Section):
    """How labels are told from a pair.

    Args:
        jump_on_beats: cost of a jump from a beat's end to a beat's start, in frames that are like nothing.
        jump_anywhere: of any other.
        fade_slope: by how much of the full gain a faded beat rises or falls at least.
        effect_db: by how much the level or a band of an effect differs at least.
    """

    jump_on_beats: float = Field(ge=0)
    jump_anywhere: float = Field(ge=0)
    fade_slope: float = Field(gt=0, lt=1)
    effect_db: float = Field(gt=0)


class LabelThresholds(Section):
    """What the labels must reach with oracle beats on clean edits, and on those that drift.

    Args:
        accuracy: share of the beats.
        macro_f1: mean over the labels.
        drift: share of the beats where the edit's clock drifts.
    """

    accuracy: float = Field(ge=0, le=1)
    macro_f1: float = Field(ge=0, le=1)
    drift: float = Field(ge=0, le=1)


class LabelsSettings(Section):
    """Section ``editor.labels``.

    Args:
        recovery: see `RecoverySettings`.
        remaster: what the re-mastered edits of the table went through.
        tempo_bpm: centre of the tracker's tempo prior.
        thresholds: of the gates.
        n_bootstrap: resamples of each interval.
    """

    recovery: RecoverySettings
    remaster: RemasterSettings
    tempo_bpm: float = Field(gt=20, lt=400)
    thresholds: LabelThresholds
    n_bootstrap: int = Field(ge=100)
