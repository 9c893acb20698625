"""Sections ``dynamics.*``: what is trained, measured and held against thresholds."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from soundgate.runtime.config import Section
from soundgate.training.loop import LoopSettings


class ReferenceSettings(Section):
    """Section ``dynamics.latents``: a codec at other settings than its own section's, to compare with.

    Args:
        overrides: of the section ``codec.<name>``.
    """

    overrides: dict[str, float | int | str]


class OptimisationSettings(Section):
    """How a network is trained.

    Args:
        hidden: width of its hidden layer.
        max_steps: steps of AdamW, a multiple of ``evaluate_every``.
        batch_size: frames a step.
        evaluate_every: steps between looks at the hold-out, on which the weights to keep are chosen.
        patience: looks in a row without a better hold-out that end the training.
        context_noise: standard deviation of the noise on training contexts, in those of the frames; 0: none.
        ridge: the linear model's penalty to begin the search with, relative to the mean variance; see `LinearFitter`.
        checkpoint_s: seconds between checkpoints.
        learning_rate: of AdamW; after a short rise it falls by a half cosine.
        weight_decay: of AdamW.
        warm_up: steps of the rise.
        final_rate: share of the learning rate left at the end.
        clip: largest norm of the gradient.
        num_workers: threads that gather a batch; 0: none beside the main one.
        compile: whether torch.compile makes the network faster (a compiler is needed).
        compile_mode: its mode.
        amp: whether the network runs in ``amp_dtype``; densities never do.
        amp_dtype: of the network's products.
        max_eval_samples: most frames of the hold-out and of the eval speakers that are scored; null: all.
        n_bootstrap: resamples of each interval.
    """

    hidden: int = Field(ge=1)
    max_steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    evaluate_every: int = Field(ge=1)
    patience: int = Field(ge=1)
    context_noise: float = Field(ge=0)
    ridge: float = Field(gt=1e-8, lt=1e4)
    checkpoint_s: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warm_up: int = Field(ge=0)
    final_rate: float = Field(ge=0, le=1)
    clip: float = Field(gt=0)
    num_workers: int = Field(ge=0)
    compile: bool
    compile_mode: Literal["default", "reduce-overhead", "max-autotune"]
    amp: bool
    amp_dtype: Literal["bfloat16", "float16"]
    max_eval_samples: int | None = Field(ge=1)
    n_bootstrap: int = Field(ge=100)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.max_steps % self.evaluate_every:
            raise ValueError("max_steps must be a multiple of evaluate_every")
        return self

    @property
    def loop(self) -> LoopSettings:
        """The loop that takes these steps."""
        return LoopSettings(
            epochs=self.max_steps // self.evaluate_every,
            batch_size=self.batch_size,
            steps_per_epoch=self.evaluate_every,
            checkpoint_s=self.checkpoint_s,
        )


class TrainThresholds(Section):
    """What Tier 1's models are held against.

    Args:
        min_gain: nats a dimension that every horizon's model must save over the linear model, and over itself where
            the context is of another utterance. Above 0: a model that does neither has exactly 0.
    """

    min_gain: float = Field(gt=0)


class TrainSettings(OptimisationSettings):
    """Section ``dynamics.train``.

    Args:
        window: W, frames of context.
        horizons: frames from the context's end to the frame predicted; 1 is among them, for free runs.
        family: of distributions.
        gates: see `TrainThresholds`.
    """

    window: int = Field(ge=1)
    horizons: tuple[int, ...] = Field(min_length=1)
    family: Literal["vmf", "power_spherical", "gaussian", "mdn"]
    gates: TrainThresholds

    @model_validator(mode="after")
    def _steps(self) -> Self:
        if 1 not in self.horizons:
            raise ValueError("horizons must hold 1: free runs are made of its steps")
        return self

    @property
    def history(self) -> int:
        """Frames that must precede a scored frame."""
        return self.window + max(self.horizons) - 1


class DiagnosticSettings(Section):
    """The injection diagnostic.

    Args:
        max_train_samples: train frames the baseline is fitted on, at most.
        n_eval_utterances: utterances of eval speakers.
        segments_per_utt: segments of each.
        steps: K, of a run.
        every: steps between two true states in mode B.
        members: free runs from each start, drawn; an ensemble.
    """

    max_train_samples: int = Field(ge=2)
    n_eval_utterances: int = Field(ge=1)
    segments_per_utt: int = Field(ge=1)
    steps: int = Field(ge=2)
    every: int = Field(ge=1)
    members: int = Field(ge=2)


class InjectThresholds(Section):
    """What the diagnostic is held against.

    Args:
        min_gain: nats a dimension that the teacher-forced model must save over the linear model.
        max_excess: share by which a free run's energy score may be above that of the better direct prediction.
        min_skill: share by which it must be below that of holding still.
        finite: share of free runs that must stay finite.
    """

    min_gain: float = Field(gt=0)
    max_excess: float = Field(ge=0)
    min_skill: float = Field(gt=0)
    finite: float = Field(ge=0, le=1)


class InjectSettings(Section):
    """Section ``dynamics.inject``.

    Args:
        diag: see `DiagnosticSettings`.
        n_bootstrap: resamples of each interval.
        gates: see `InjectThresholds`.
    """

    diag: DiagnosticSettings
    n_bootstrap: int = Field(ge=100)
    gates: InjectThresholds


class ContextSettings(Section):
    """A context that two codecs are compared on, in frames or in seconds.

    Args:
        frames: of the window; or
        duration_s: of the window, rounded to frames, at least one.
    """

    frames: int | None = Field(default=None, ge=1)
    duration_s: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.frames is None) == (self.duration_s is None):
            raise ValueError("a context takes exactly one of frames and duration_s")
        return self

    def window(self, frame_rate: float) -> int:
        """Return the frames of the window at a frame rate in Hz."""
        return self.frames or max(1, round(self.duration_s * frame_rate))


class CompareSettings(OptimisationSettings):
    """Section ``dynamics.compare``.

    Args:
        contexts: by name.
        families: of distributions, each fitted for each context.
    """

    contexts: dict[str, ContextSettings] = Field(min_length=1)
    families: tuple[Literal["vmf", "power_spherical", "gaussian", "mdn"], ...] = Field(min_length=1)
