"""The section of phase 1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from soundgate.runtime.config import Section
from soundgate.tracks.editor.vocabulary import BEAT_LABELS, Label
from soundgate.training.loop import LoopSettings


class RendererSettings(Section):
    """The rule with learned parameters; see `soundgate.tracks.editor.reconstruct.renderer.LearnedRenderer`.

    Args:
        residual: ``rule``: the output is the labels' definition, corrected.
        dim: of the network that tells the corrections.
        n_frames: of a window, at most.
        patch: frames whose mean spectrum is compared.
    """

    residual: Literal["rule"]
    dim: int = Field(ge=1)
    n_frames: int = Field(ge=1)
    patch: int = Field(ge=1)


class NetworkSettings(Section):
    """Size and form of the network that makes every frame itself.

    Args:
        dim: of encoder and decoder.
        label_dim: of a label's embedding.
        n_encoder_layers: of the encoder.
        n_decoder_layers: of the decoder.
        n_heads: of each attention.
        dropout: after attention and after each half of the feed-forward; none inside attention, where it costs 3.7
            times the time and memory on a CPU.
        n_frames: of a window, at most.
        patch: frames that are one token.
        residual: how the raw recording goes into the output: ``scalar``, by one learned factor; ``gate``, by a factor
            in 0..1 for each value, clamped at the floor.
        run_position: whether a frame also tells where in its run of equal labels it is, and how long that is; a
            fade is a function of this alone.
    """

    dim: int = Field(ge=1)
    label_dim: int = Field(ge=1)
    n_encoder_layers: int = Field(ge=1)
    n_decoder_layers: int = Field(ge=1)
    n_heads: int = Field(ge=1)
    dropout: float = Field(ge=0, lt=1)
    n_frames: int = Field(ge=1)
    patch: int = Field(ge=1)
    residual: Literal["scalar", "gate"]
    run_position: bool

    @model_validator(mode="after")
    def _fits(self) -> NetworkSettings:
        if self.dim % self.n_heads or self.n_frames % self.patch:
            raise ValueError("dim must be a multiple of n_heads, n_frames one of patch")
        return self


Form = Annotated[RendererSettings | NetworkSettings, Field(discriminator="residual")]


class LossWeights(Section):
    """Weights of the losses.

    Args:
        l1: mean distance.
        mse: mean squared distance.
        stft: distance at several resolutions, in the place of the seed's STFT of a flattened spectrogram.
        consistency: mean distance to the raw recording where the label is KEEP.
    """

    l1: float = Field(ge=0)
    mse: float = Field(ge=0)
    stft: float = Field(ge=0)
    consistency: float = Field(ge=0)


class DrawnLabels(Section):
    """Label sequences that are drawn, so that the network knows what a policy may ask for.

    Args:
        share: of the items of a batch that have them; the others have their pair's own.
        run_beats: fewest and most beats of one label in a row.
        weights: how often runs of each label are drawn, by its name.
        effect_db: limits of the size of what an EFFECT mends: a wrong level, or a band of a wrong tone.
    """

    share: float = Field(ge=0, le=1)
    run_beats: tuple[int, int]
    weights: dict[str, float]
    effect_db: tuple[float, float]

    @model_validator(mode="after")
    def _limits_and_names(self) -> DrawnLabels:
        if not 1 <= self.run_beats[0] <= self.run_beats[1]:
            raise ValueError(f"run_beats must rise from at least 1, not {self.run_beats}")
        names = {label.name for label in BEAT_LABELS}
        if set(self.weights) != names or min(self.weights.values()) < 0 or not any(self.weights.values()):
            raise ValueError(
                f"weights needs {', '.join(sorted(names))}, none below 0 and not all 0 ({Label.PAD.name} is none)"
            )
        return self


class ReconstructionSettings(Section):
    """Section ``editor.reconstruction``.

    Args:
        network: see `RendererSettings` and `NetworkSettings`, told apart by ``residual``.
        loop: how long.
        learning_rate: of AdamW after the warm-up; then a half cosine to 0.
        warmup_steps: over which it rises.
        weight_decay: of AdamW.
        clip: largest norm of a gradient.
        bf16: whether the network computes in bfloat16 (autocast); losses never do.
        checkpointing: whether activations are computed again instead of kept.
        weights: of the losses.
        drawn: see `DrawnLabels`.
    """

    network: Form
    loop: LoopSettings
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    weight_decay: float = Field(ge=0)
    clip: float = Field(gt=0)
    bf16: bool
    checkpointing: bool
    weights: LossWeights
    drawn: DrawnLabels
