"""The section of the analysis of embeddings."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section


class Thresholds(Section):
    """Of the gates.

    Args:
        same: least mean similarity of utterances of one speaker.
        different: largest one of two speakers.
        separation: least difference of the two.
        over_random: by how much it must exceed the separation of an encoder with random weights.
    """

    same: float
    different: float
    separation: float
    over_random: float


class EmbeddingSettings(Section):
    """Section ``voice.embeddings``.

    Args:
        crop_s: seconds of each utterance, around its middle.
        max_samples: utterances at most.
        thresholds: see `Thresholds`.
        n_bootstrap: resamples of each interval.
    """

    crop_s: float = Field(ge=0.5)
    max_samples: int = Field(ge=4)
    thresholds: Thresholds
    n_bootstrap: int = Field(ge=1)
