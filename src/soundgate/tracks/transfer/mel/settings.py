"""The section of Lab 3's mel path."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from soundgate.config import Section
from soundgate.tracks.transfer.adversarial_task import AdversarySettings
from soundgate.tracks.transfer.style.vectors import Mode
from soundgate.training.loop import LoopSettings

Share = Field(ge=0, le=1)
Weight = Field(ge=0)


class GeneratorSettings(Section):
    """Size of the generator.

    Args:
        channels: at 12 x 32; halved at 24 x 64 and again at 48 x 128.
        detail: channels at 96 x 256; 0: the last pixel shuffle gives the spectrogram itself.
        trunk: width of the layers over the 32 steps that come before the grid of 12 x 32.
        n_trunk: how many of them.
        kernels: (size, dilation in time) of the parallel convolutions of each residual.
    """

    channels: int = Field(ge=8, multiple_of=8)
    detail: int = Field(ge=0)
    trunk: int = Field(ge=8)
    n_trunk: int = Field(ge=0)
    kernels: tuple[tuple[int, int], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _kernels_fit(self) -> Self:
        if any(size % 2 == 0 or size < 1 or dilation < 1 for size, dilation in self.kernels):
            raise ValueError(f"kernels must be (odd size, dilation of at least 1), not {self.kernels}")
        if self.channels // 4 % len(self.kernels):
            raise ValueError(f"a quarter of channels must be divisible among {len(self.kernels)} kernels")
        return self


class CriticSettings(Section):
    """Size of the critic.

    Args:
        channels: of the three layers of a scale; the third also of a period.
        n_scales: the spectrogram itself, half its resolution, a quarter, ...
        periods: frames after which time is folded.
    """

    channels: tuple[int, int, int]
    n_scales: int = Field(ge=0, le=3)
    periods: tuple[int, ...]

    @model_validator(mode="after")
    def _something_to_ask(self) -> Self:
        if not self.n_scales and not self.periods:
            raise ValueError("a critic needs at least one scale or period")
        if any(period < 1 for period in self.periods):
            raise ValueError(f"periods must be at least 1, not {self.periods}")
        return self


class Stage1Weights(Section):
    """Weights of stage 1's losses; 0 leaves a loss out and saves its time.

    Args:
        adversarial: hinge.
        l1: mean absolute difference to the spectrogram itself, in the models' scale.
        content: of pooled content and its sequence.
        style: of the target vector.
        continuity: of the bands' movement.
        feature_matching: of the critic's activations, item by item.
    """

    adversarial: float = Weight
    l1: float = Weight
    content: float = Weight
    style: float = Weight
    continuity: float = Weight
    feature_matching: float = Weight


class Stage2Weights(Section):
    """Weights of stage 2's losses; 0 leaves a loss out and saves its time.

    Args:
        adversarial: hinge, against real items of the target genre.
        content: of pooled content and its sequence, against the source's.
        style: of the target vector.
        flatness: of spectral flatness, against real items of the target genre.
        bands: of the bands' mean, spread and steps over time, against the target genre's means.
        feature_matching: of the critic's activations, as means over a genre.
        continuity: of the bands' movement, against the source's.
        l1: reconstruction of the source at its own style; an unpaired decoder forgets it otherwise.
        back_translation: reconstruction of the source at its own style from the content of its transfer.
    """

    adversarial: float = Weight
    content: float = Weight
    style: float = Weight
    flatness: float = Weight
    bands: float = Weight
    feature_matching: float = Weight
    continuity: float = Weight
    l1: float = Weight
    back_translation: float = Weight


class Stage1Settings(Section):
    """Stage 1: the sample itself, at its own style.

    Args:
        loop: how long.
        weights: of the losses.
        adversary: see `AdversarySettings`.
        rerecorded_share: of the items, whose content is taken from another recording of the same music.
        analysis_share: of the items, that content and style losses look at.
        continuity_share: of the items, that the continuity loss looks at.
    """

    loop: LoopSettings
    weights: Stage1Weights
    adversary: AdversarySettings
    rerecorded_share: float = Share
    analysis_share: float = Field(gt=0, le=1)
    continuity_share: float = Field(gt=0, le=1)


class Stage2Settings(Section):
    """Stage 2: the sample's music in the styles of the other genres.

    Args:
        loop: how long.
        weights: of the losses.
        adversary: see `AdversarySettings`.
        mode: what a genre's condition is made of.
        alpha: the centroid's share in a mix, at the first step and at the last.
        reconstruction_share: of the items, that ``l1`` and ``back_translation`` are measured on.
        continuity_share: of the items, that the continuity loss looks at.
    """

    loop: LoopSettings
    weights: Stage2Weights
    adversary: AdversarySettings
    mode: Mode
    alpha: tuple[float, float]
    reconstruction_share: float = Field(gt=0, le=1)
    continuity_share: float = Field(gt=0, le=1)

    @model_validator(mode="after")
    def _alpha_is_a_share(self) -> Self:
        if not all(0 <= alpha <= 1 for alpha in self.alpha):
            raise ValueError(f"alpha must be two shares, not {self.alpha}")
        return self


class MelTransferSettings(Section):
    """Section ``transfer.mel``.

    Args:
        generator: its size.
        critic: its size.
        learning_rate: of Adam at a stage's first step.
        final_rate: share of the learning rate that is left at a stage's last step (half cosine).
        betas: of Adam.
        clip: largest norm of a gradient.
        average: share of its past that the running average of the generator's weights keeps at each step; the
            average is the model. 0: the last weights are.
        n_evaluated: test items that the curves are drawn from.
        stage1: see `Stage1Settings`.
        stage2: see `Stage2Settings`.
    """

    generator: GeneratorSettings
    critic: CriticSettings
    learning_rate: float = Field(gt=0)
    final_rate: float = Field(gt=0, le=1)
    betas: tuple[float, float]
    clip: float = Field(gt=0)
    average: float = Field(ge=0, lt=1)
    n_evaluated: int = Field(ge=0)
    stage1: Stage1Settings
    stage2: Stage2Settings
