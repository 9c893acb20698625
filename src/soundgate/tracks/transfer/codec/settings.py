"""The sections of Lab 3's codec path."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from soundgate.config import Section
from soundgate.tracks.transfer.adversarial_task import AdversarySettings
from soundgate.tracks.transfer.style.vectors import Mode
from soundgate.training.loop import LoopSettings

Share = Field(ge=0, le=1)
Weight = Field(ge=0)


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


class CodecStageSettings(Section):
    """One stage: 1 asks for the item's own style, 2 and 3 for those of the other genres.

    Args:
        loop: how long.
        weights: of the losses.
        adversary: see `AdversarySettings`.
        mode: what a condition is made of.
        alpha: the centroid's share in a mix, at the first step and at the last.
        style_dropout_p: probability that the genre's centroid stands for the exemplar, so that the noise alone
            tells its items apart.
        mode_seeking_margin: distance of outputs over distance of noises from which it costs nothing.
    """

    loop: LoopSettings
    weights: CodecWeights
    adversary: AdversarySettings
    mode: Mode
    alpha: tuple[float, float]
    style_dropout_p: float = Share
    mode_seeking_margin: float = Field(ge=0)

    @model_validator(mode="after")
    def _alpha_is_a_share(self) -> Self:
        if not all(0 <= alpha <= 1 for alpha in self.alpha):
            raise ValueError(f"alpha must be two shares, not {self.alpha}")
        return self


class CodecTransferSettings(Section):
    """Section ``transfer.codec``.

    Args:
        translator: its size.
        critic: its size.
        learning_rate: of AdamW at a stage's first step.
        final_rate: share of the learning rate that is left at a stage's last step (half cosine).
        betas: of AdamW.
        weight_decay: of AdamW.
        clip: largest norm of a gradient.
        average: share of its past that the running average of the translator's weights keeps at each step.
        duration_s: of the crops that are trained on; at least the 2.96 s that the analysis hears.
        n_evaluated: test items that the curves are drawn from.
        stage1: identity.
        stage2: transfer.
        stage3: diversity.
    """

    translator: TranslatorSettings
    critic: WaveCriticSettings
    learning_rate: float = Field(gt=0)
    final_rate: float = Field(gt=0, le=1)
    betas: tuple[float, float]
    weight_decay: float = Field(ge=0)
    clip: float = Field(gt=0)
    average: float = Field(ge=0, lt=1)
    duration_s: float = Field(ge=2.98)
    n_evaluated: int = Field(ge=0)
    stage1: CodecStageSettings
    stage2: CodecStageSettings
    stage3: CodecStageSettings
