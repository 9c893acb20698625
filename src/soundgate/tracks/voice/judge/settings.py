"""The section of the judges."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section
from soundgate.tracks.voice.augment import AugmentSettings
from soundgate.training.loop import LoopSettings


class EncoderSettings(Section):
    """The judge of the speaker.

    Args:
        n_cepstra: coefficients heard, enough for the harmonics of low voices; see `Cepstra`.
        f_max_hz: upper edge of what it hears.
        width: of the recurrent layer.
        dim: of the embedding.
    """

    n_cepstra: int = Field(ge=8)
    f_max_hz: float = Field(gt=1_000)
    width: int = Field(ge=8)
    dim: int = Field(ge=2)


class UnitSettings(Section):
    """The judge of the content.

    Args:
        n_units: clusters.
        n_cepstra: coefficients heard, few enough to leave out the harmonics; see `Cepstra`.
        f_max_hz: upper edge of what it hears.
        width: channels.
        n_layers: convolutions, each of which sees two frames more to either side.
    """

    n_units: int = Field(ge=2)
    n_cepstra: int = Field(ge=4)
    f_max_hz: float = Field(gt=1_000)
    width: int = Field(ge=8)
    n_layers: int = Field(ge=1)


class TrainSettings(Section):
    """How a judge is trained.

    Args:
        loop: how long; items are speakers at a speed for the encoder, utterances for the units.
        learning_rate: of AdamW; rises over ``warm_up`` steps, then falls by a half cosine to ``final_rate`` of it.
        warm_up: steps.
        final_rate: share.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
    """

    loop: LoopSettings
    learning_rate: float = Field(gt=0)
    warm_up: int = Field(ge=0)
    final_rate: float = Field(ge=0, le=1)
    weight_decay: float = Field(ge=0)
    clip: float = Field(gt=0)


class JudgeSettings(Section):
    """Section ``voice.judge``.

    Args:
        encoder: see `EncoderSettings`.
        encoder_train: see `TrainSettings`.
        per_speaker: utterances of each speaker in a batch of the encoder's.
        units: see `UnitSettings`.
        units_train: see `TrainSettings`.
        augment: of both.
        crop_s: seconds of each crop, at which embeddings are also measured.
        n_bootstrap: resamples of each interval.
    """

    encoder: EncoderSettings
    encoder_train: TrainSettings
    per_speaker: int = Field(ge=2)
    units: UnitSettings
    units_train: TrainSettings
    augment: AugmentSettings
    crop_s: float = Field(ge=0.5)
    n_bootstrap: int = Field(ge=1)
