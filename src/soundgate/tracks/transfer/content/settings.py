"""The section of Lab 1."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section
from soundgate.tracks.transfer.content.model import EncoderSettings
from soundgate.training.loop import LoopSettings


class ContentWeights(Section):
    """Weights of Lab 1's losses.

    Args:
        contrast: of pooled content between renderings.
        sequence: of content at moments in time between renderings.
        alignment: of pooled content and its steps: renderings of the same music pulled together.
        separation: of pooled content: different music pushed below ``mismatch_limit``.
        genre: of the style's genre head.
        source: of the style's source head.
        adversary: of telling source and genre from content, with the gradient reversed.
        music: of the music gate.
    """

    contrast: float = Field(ge=0)
    sequence: float = Field(ge=0)
    alignment: float = Field(ge=0)
    separation: float = Field(ge=0)
    genre: float = Field(ge=0)
    source: float = Field(ge=0)
    adversary: float = Field(ge=0)
    music: float = Field(ge=0)


class ContentSettings(Section):
    """Section ``transfer.content``.

    Args:
        encoder: the network.
        loop: how long.
        learning_rate: of Adam, decayed by a half cosine to a twentieth.
        weight_decay: of AdamW.
        temperature: of the contrasts.
        mismatch_limit: cosine between different music that costs nothing.
        n_moments: steps in time contrasted at each training step.
        weights: of the losses.
        n_bootstrap: draws of the intervals.
    """

    encoder: EncoderSettings
    loop: LoopSettings
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    temperature: float = Field(gt=0)
    mismatch_limit: float = Field(ge=-1, le=1)
    n_moments: int = Field(ge=1)
    weights: ContentWeights
    n_bootstrap: int = Field(ge=1)
