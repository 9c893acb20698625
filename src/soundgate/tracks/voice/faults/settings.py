"""Section ``voice.health``."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from soundgate.runtime.config import Section
from soundgate.tracks.voice.gan.settings import TrainSettings


class FaultSettings(Section):
    """How the health monitor is put to the test.

    Args:
        train: the trainings, as small as they can be.
        interval: steps between checks, in place of ``health.interval``.
        window: checks that a figure is judged against, in place of ``health.window``.
        settled: in place of ``health.settled``.
        fault_epoch: epochs before a fault comes.
        n_healthy: trainings without a fault.
        n_faulty: trainings with each fault; they are those without as far as the fault has not come.
    """

    train: TrainSettings
    interval: int = Field(ge=1)
    window: int = Field(ge=4)
    settled: int = Field(ge=1)
    fault_epoch: int = Field(ge=1)
    n_healthy: int = Field(ge=1)
    n_faulty: int = Field(ge=1)

    @property
    def first_step(self) -> int:
        """The first with a fault, counted from 0."""
        return self.fault_epoch * (self.train.loop.steps_per_epoch or 0)

    @property
    def n_steps(self) -> int:
        """Steps of each training."""
        return self.train.loop.epochs * (self.train.loop.steps_per_epoch or 0)

    @model_validator(mode="after")
    def _fault_comes(self) -> Self:
        if not 0 < self.first_step < self.n_steps:
            raise ValueError("train.loop must state steps_per_epoch, and more epochs than fault_epoch")
        if self.n_faulty > self.n_healthy:
            raise ValueError("n_faulty must not exceed n_healthy")
        return self
