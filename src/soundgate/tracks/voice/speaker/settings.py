"""The section of the speaker encoder."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section
from soundgate.tracks.voice.augment import AugmentSettings
from soundgate.training.loop import LoopSettings


class NetworkSettings(Section):
    """The network.

    Args:
        width: channels.
        dilations: of the residual blocks, in frames after the first layer, which halves them.
        dim: of the embedding.
        f_max_hz: upper edge of what it hears; below half the sample rate at the slowest speed of the training, so
            that a slowed copy of a speaker is not known by what it lacks.
    """

    width: int = Field(ge=8)
    dilations: list[int] = Field(min_length=1)
    dim: int = Field(ge=2)
    f_max_hz: float = Field(gt=1_000)


class SpeakerSettings(Section):
    """Section ``voice.speaker``.

    Args:
        network: see `NetworkSettings`.
        loop: how long; items are the utterances of the training split.
        augment: see `AugmentSettings`.
        crop_s: seconds of each crop, at which embeddings are also measured.
        learning_rate: of AdamW.
        warm_up: steps until it is reached; then it falls by a half cosine.
        final_rate: share of it that is left at the end.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        margin: of the angle, radians; grows to this over the first third of the training.
        scale: of the cosines.
        n_bootstrap: resamples of each interval.
    """

    network: NetworkSettings
    loop: LoopSettings
    augment: AugmentSettings
    crop_s: float = Field(ge=0.5)
    learning_rate: float = Field(gt=0)
    warm_up: int = Field(ge=0)
    final_rate: float = Field(ge=0, le=1)
    weight_decay: float = Field(ge=0)
    clip: float = Field(gt=0)
    margin: float = Field(ge=0, lt=1.5)
    scale: float = Field(gt=0)
    n_bootstrap: int = Field(ge=1)
