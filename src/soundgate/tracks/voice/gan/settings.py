"""Section ``voice.train``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from soundgate.runtime.config import Section
from soundgate.tracks.voice.model.settings import NetworkSettings
from soundgate.training.loop import LoopSettings

Weight = Field(ge=0)


class Weights(Section):
    """Weights of the generator's losses; 0: a loss is not computed.

    Args:
        mel: distance of log-mel spectrograms at several resolutions.
        stft: multi-resolution STFT loss.
        adversarial: of the discriminators.
        feature_matching: distance of the discriminators' activations.
        contrastive: how clearly a conversion's embedding is the target's.
    """

    mel: float = Weight
    stft: float = Weight
    adversarial: float = Weight
    feature_matching: float = Weight
    contrastive: float = Weight


class ContrastiveSettings(Section):
    """How conversions are compared with their targets and with other voices.

    Args:
        kind: ``infonce`` or ``margin``.
        temperature: of InfoNCE.
        margin: by which a conversion is to be nearer to its target than to a negative.
        n_negatives: for each conversion, from this batch and from past ones.
        hard_negatives: take those most similar to the target, hard band before medium before easy; otherwise any.
        easy: similarity to the target below which a negative is easy.
        medium: below which it is medium.
        hard: below which it is hard; from there on it may be the same speaker, and is none.
        memory: embeddings of past batches that are kept.
        share: of a batch that is converted at each step.
    """

    kind: Literal["infonce", "margin"]
    temperature: float = Field(gt=0)
    margin: float = Field(ge=0)
    n_negatives: int = Field(ge=1)
    hard_negatives: bool
    easy: float = Field(gt=-1, lt=1)
    medium: float = Field(gt=-1, lt=1)
    hard: float = Field(gt=-1, le=1)
    memory: int = Field(ge=1)
    share: float = Field(gt=0, le=1)

    @model_validator(mode="after")
    def _bands_rise(self) -> Self:
        if not self.easy < self.medium < self.hard:
            raise ValueError("easy, medium and hard must rise")
        return self


class TrainSettings(Section):
    """Section ``voice.train``.

    Args:
        network: see `NetworkSettings`.
        seed: added to the experiment's for this training alone: other weights and batches on the same data.
        loop: how long; ``batch_size`` crops a step, over all processes.
        epoch_s: seconds of audio in an epoch, from which its steps follow, so that trainings with other batches or
            crops hear as much; None: ``loop.steps_per_epoch``.
        utterances_per_speaker: crops of the same speaker in a batch; each is rebuilt in the voice of another of them.
        segment_s: seconds of a crop.
        width: factor of the discriminators' channels.
        judged_s: seconds of a crop that the discriminators look at, drawn at each step; None: all of it.
        weights: see `Weights`.
        contrastive: see `ContrastiveSettings`.
        adversarial: ``hinge`` or ``lsgan``.
        gan_start: share of the steps before the discriminators come in.
        r1_gamma: weight of the gradient penalty at real sound; 0: there is none.
        r1_every: steps from one penalty, multiplied by this, to the next.
        speaker_trainable: the speaker encoder learns too; the contrastive loss listens with what it began as.
        learning_rate: of AdamW.
        critic_rate: factor of the learning rate for the discriminators.
        betas: of AdamW.
        weight_decay: of AdamW.
        warm_up: steps until the rate is reached; then it falls by a half cosine.
        final_rate: share of the rate that is left at the end.
        clip: largest norm of the generator's gradient, and of the discriminators'.
        precision: ``fp32``, or ``bf16`` in the networks (losses and the converter's transforms stay in float32).
        accumulation: parts of a process's share of a batch whose gradients are added before a step: less memory.
        compile: compile the decoder.
        sample_interval: epochs from samples to samples under ``runs/samples``; 0: none.
        n_evaluated: validation utterances that curves, samples and diagnostics listen to.
    """

    network: NetworkSettings
    seed: int = Field(default=0, ge=0)
    loop: LoopSettings
    epoch_s: float | None = Field(default=None, gt=0)
    utterances_per_speaker: int = Field(ge=1)
    segment_s: float = Field(ge=0.5)
    width: float = Field(gt=0)
    judged_s: float | None = Field(default=None, ge=0.125)
    weights: Weights
    contrastive: ContrastiveSettings
    adversarial: Literal["hinge", "lsgan"]
    gan_start: float = Field(ge=0, le=1)
    r1_gamma: float = Weight
    r1_every: int = Field(ge=1)
    speaker_trainable: bool
    learning_rate: float = Field(gt=0)
    critic_rate: float = Field(gt=0)
    betas: tuple[float, float]
    weight_decay: float = Weight
    warm_up: int = Field(ge=0)
    final_rate: float = Field(ge=0, le=1)
    clip: float = Field(gt=0)
    precision: Literal["fp32", "bf16"]
    accumulation: int = Field(ge=1)
    compile: bool
    sample_interval: int = Field(ge=0)
    n_evaluated: int = Field(ge=2)

    @property
    def task_loop(self) -> LoopSettings:
        """The loop over `GanTask`'s items: of a speaker's crops in a batch the first is one."""
        changes = {"batch_size": self.loop.batch_size // self.utterances_per_speaker}
        if self.epoch_s is not None:
            changes["steps_per_epoch"] = max(1, round(self.epoch_s / self.step_s))
        return self.loop.model_copy(update=changes)

    @model_validator(mode="after")
    def _batch_divides(self) -> Self:
        if self.loop.batch_size % (self.utterances_per_speaker * self.accumulation):
            raise ValueError("loop.batch_size must be a multiple of utterances_per_speaker times accumulation")
        return self

    @model_validator(mode="after")
    def _steps_are_said_once(self) -> Self:
        if self.epoch_s is not None and self.loop.steps_per_epoch is not None:
            raise ValueError("loop.steps_per_epoch must be null where epoch_s says how long an epoch is")
        return self

    @property
    def step_s(self) -> float:
        """Seconds of audio in a step."""
        return self.loop.batch_size * self.segment_s
