"""The section of Lab 3's mel path."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from soundgate.runtime.config import Section
from soundgate.tracks.transfer.adversarial_settings import (
    ScheduleSettings,
    Share,
    StageSettings,
    StyledStageSettings,
    Weight,
)


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


class Stage1Settings(StageSettings):
    """Stage 1: the sample itself, at its own style.

    Args:
        weights: of the losses.
        rerecorded_share: of the items, whose content is taken from another recording of the same music.
        analysis_share: of the items, that content and style losses look at.
        continuity_share: of the items, that the continuity loss looks at.
    """

    weights: Stage1Weights
    rerecorded_share: float = Share
    analysis_share: float = Field(gt=0, le=1)
    continuity_share: float = Field(gt=0, le=1)


class Stage2Settings(StyledStageSettings):
    """Stage 2: the sample's music in the styles of the other genres.

    Args:
        weights: of the losses.
        reconstruction_share: of the items, that ``l1`` and ``back_translation`` are measured on.
        continuity_share: of the items, that the continuity loss looks at.
    """

    weights: Stage2Weights
    reconstruction_share: float = Field(gt=0, le=1)
    continuity_share: float = Field(gt=0, le=1)


class MelTransferSettings(ScheduleSettings):
    """Section ``transfer.mel``: trained by Adam.

    Args:
        generator: its size.
        critic: its size.
        stage1: see `Stage1Settings`.
        stage2: see `Stage2Settings`.
    """

    generator: GeneratorSettings
    critic: CriticSettings
    stage1: Stage1Settings
    stage2: Stage2Settings
