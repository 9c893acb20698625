"""The section of the outside judges."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section
from soundgate.tracks.voice.audit.settings import EvaluationSettings


class OutsideThresholds(Section):
    """What the gates demand.

    Args:
        closer_to_target: share of pairs whose conversion Resemblyzer finds closer to the target than to the source.
        margin: that a difference of similarities, or of shares of words, must have at least.
        over_baseline: by which conversions must exceed the best method without training, in each measure; above 0.
        dnsmos_gain: points of MOS by which conversions are rated above those of random weights, at least.
        dnsmos_loss: points of MOS by which conversions are rated below their sources, at most.
        f0_correlation: of the log-F0 of output and source, both by CREPE, at least.
    """

    closer_to_target: float = Field(ge=0.5, lt=1)
    margin: float = Field(gt=0)
    over_baseline: float = Field(gt=0)
    dnsmos_gain: float = Field(gt=0)
    dnsmos_loss: float = Field(gt=0)
    f0_correlation: float = Field(ge=-1, le=1)


class OutsideSettings(Section):
    """Section ``voice.outside``.

    Args:
        evaluation: what is converted, as in the audit, though fewer pairs: the judges take seconds for each.
        n_word_pairs: pairs of those, the first, whose words are compared.
        noise_db: signal-to-noise ratio of the noise that the judge of quality must notice.
        repeat_db: signal-to-noise ratio at which the judge of words must still hear the same words.
        thresholds: see `OutsideThresholds`.
        n_bootstrap: resamples of each interval.
    """

    evaluation: EvaluationSettings
    n_word_pairs: int = Field(ge=1)
    noise_db: float
    repeat_db: float
    thresholds: OutsideThresholds
    n_bootstrap: int = Field(ge=100)
