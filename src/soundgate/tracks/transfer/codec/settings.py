"""The sections of Lab 3's codec path."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section
from soundgate.tracks.transfer.adversarial_settings import ScheduleSettings, Share, StyledStageSettings, Weight
from soundgate.training.loop import LoopSettings


class BankSettings(Section):
    """Section ``transfer.bank``: the judge of style in latents, and the bank of train items' embeddings.

    Args:
        channels: of the convolutions.
        loop: how long the judge trains.
        learning_rate: of AdamW, decayed by a half cosine.
        weight_decay: of AdamW.
        segment: latent frames of a training crop.
        source_weight: of the adversary that is to find no source in the embedding.
        inlier_fraction: share of a genre's items, the nearest ones, that its centroid is made of.
        exemplar_noise: standard deviation added to each coordinate of an exemplar.
        n_bootstrap: draws of the intervals.
    """

    channels: int = Field(ge=8, multiple_of=8)
    loop: LoopSettings
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    segment: int = Field(ge=16)
    source_weight: float = Weight
    inlier_fraction: float = Field(gt=0, le=1)
    exemplar_noise: float = Field(ge=0)
    n_bootstrap: int = Field(ge=1)


class TranslatorSettings(Section):
    """Size of the translator.

    Args:
        width: channels of the residual blocks.
        dilations: of the blocks, one each.
        n_noise: width of the noise in the condition.
        reach: how far a latent can be moved, in units of its spread over the train items.
    """

    width: int = Field(ge=8, multiple_of=8)
    dilations: tuple[int, ...] = Field(min_length=1)
    n_noise: int = Field(ge=1)
    reach: float = Field(gt=0)


class WaveCriticSettings(Section):
    """Size of the critic of waves.

    Args:
        channels: of the convolutions, each of which keeps every fourth position.
        n_scales: the wave itself, half its rate, a quarter, ...
        n_frames: latent frames' worth of wave that it looks at, from a random moment on.
    """

    channels: tuple[int, ...] = Field(min_length=2)
    n_scales: int = Field(ge=1, le=4)
    n_frames: int = Field(ge=8)


class CodecWeights(Section):
    """Weights of the losses; 0 leaves a loss out and saves its time.

    Args:
        adversarial: hinge, against real waves of the target genre.
        latent_l1: mean absolute distance to the source's latents, in units of their spread.
        content: of Lab 1's pooled content and its sequence, against the source's.
        style: of Lab 2's target vector, against that of the condition.
        mr_stft: multi-resolution STFT distance to the source's wave.
        align: of the latent judge's embedding, against the condition.
        push: cosine of the latent judge's embedding to the source's, where it is positive.
        feature_matching: of the critic's activations: item by item in stage 1, as means over a genre after it.
        continuity: of the latents' steps from frame to frame, against the source's.
        texture: of the spectrogram's statistics over time, against the target genre's means.
        mode_seeking: two noises must not give one output.
        teacher: mean absolute distance of the spectrogram to the one that the mel path writes when asked for the same.
    """

    adversarial: float = Weight
    latent_l1: float = Weight
    content: float = Weight
    style: float = Weight
    mr_stft: float = Weight
    align: float = Weight
    push: float = Weight
    feature_matching: float = Weight
    continuity: float = Weight
    texture: float = Weight
    mode_seeking: float = Weight
    teacher: float = Weight


class CodecStageSettings(StyledStageSettings):
    """One stage: 1 asks for the item's own style, 2 and 3 for those of the other genres.

    Args:
        weights: of the losses.
        style_dropout_p: probability that the genre's centroid stands for the exemplar, so that the noise alone
            tells its items apart.
        mode_seeking_margin: distance of outputs over distance of noises from which it costs nothing.
    """

    weights: CodecWeights
    style_dropout_p: float = Share
    mode_seeking_margin: float = Field(ge=0)


class CodecTransferSettings(ScheduleSettings):
    """Section ``transfer.codec``: trained by AdamW.

    Args:
        translator: its size.
        critic: its size.
        weight_decay: of AdamW.
        duration_s: of the crops that are trained on; at least the 2.96 s that the analysis hears.
        stage1: identity.
        stage2: transfer.
        stage3: diversity.
    """

    translator: TranslatorSettings
    critic: WaveCriticSettings
    weight_decay: float = Field(ge=0)
    duration_s: float = Field(ge=2.98)
    stage1: CodecStageSettings
    stage2: CodecStageSettings
    stage3: CodecStageSettings
