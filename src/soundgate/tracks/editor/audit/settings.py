"""The section of the audit."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section


class AuditThresholds(Section):
    """What the gates demand.

    Args:
        l1: of phase 1 in the models' scale, at most (the seed's).
        stft: multi-resolution loss of phase 1, at most (the seed's).
        keep_preserved: share of the values of KEEP frames within 1 dB of the raw recording, at least (the seed's).
        over_rule_db: by how much phase 1 must be nearer to the target than the labels' definitions, over all and of
            EFFECT and TRANSITION, which do not say all of what is done; of the other labels no more than this further.
        reward: with the label bonus, at least (the seed's).
        accuracy: of the labels, at least (the seed's).
        duration_error: relative, at most (the seed's).
        margin: that a difference must have at least; above 0, since doing what a baseline does is no gain.
        reward_agreement: rank correlation of the frozen model's distance with that of rendered audio, at least.
    """

    l1: float = Field(gt=0)
    stft: float = Field(gt=0)
    keep_preserved: float = Field(ge=0, le=1)
    over_rule_db: float = Field(gt=0)
    reward: float
    accuracy: float = Field(ge=0, le=1)
    duration_error: float = Field(ge=0)
    margin: float = Field(gt=0)
    reward_agreement: float = Field(ge=-1, le=1)


class AuditSettings(Section):
    """Section ``editor.audit``.

    Args:
        thresholds: see `AuditThresholds`.
        n_rendered: test pairs, of as many groups as there are, whose audio is rendered to audit reward and copies.
        n_bootstrap: resamples of each interval.
    """

    thresholds: AuditThresholds
    n_rendered: int = Field(ge=1)
    n_bootstrap: int = Field(ge=100)
