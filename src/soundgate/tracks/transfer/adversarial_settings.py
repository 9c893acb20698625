"""What the sections of both adversarial paths have in common."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from soundgate.runtime.config import Section
from soundgate.tracks.transfer.style.vectors import Mode
from soundgate.training.loop import LoopSettings

Share = Field(ge=0, le=1)
Weight = Field(ge=0)


class AdversarySettings(Section):
    """How a stage plays generator against critic.

    Args:
        start: share of the stage's steps before the critic comes in.
        every: steps from one of the critic's to the next.
        rate: factor of the learning rate for the critic.
        skip_below: the critic does not learn while its loss is below this; 0: it always does.
        r1_gamma: weight of the gradient penalty at real items.
        r1_every: critic's steps from one penalty, multiplied by this, to the next.
    """

    start: float = Share
    every: int = Field(ge=1)
    rate: float = Field(gt=0)
    skip_below: float = Field(ge=0)
    r1_gamma: float = Weight
    r1_every: int = Field(ge=1)


class StageSettings(Section):
    """How long a stage lasts, and its critic.

    Args:
        loop: how long.
        adversary: see `AdversarySettings`.
    """

    loop: LoopSettings
    adversary: AdversarySettings


class StyledStageSettings(StageSettings):
    """A stage that asks for styles.

    Args:
        mode: what a condition is made of.
        alpha: the centroid's share in a mix, at the first step and at the last.
    """

    mode: Mode
    alpha: tuple[float, float]

    @model_validator(mode="after")
    def _alpha_is_a_share(self) -> Self:
        if not all(0 <= alpha <= 1 for alpha in self.alpha):
            raise ValueError(f"alpha must be two shares, not {self.alpha}")
        return self


class ScheduleSettings(Section):
    """How generator and critic learn.

    Args:
        learning_rate: of Adam or AdamW at a stage's first step.
        final_rate: share of the learning rate that is left at a stage's last step (half cosine).
        betas: of the optimiser.
        clip: largest norm of a gradient.
        average: share of its past that the running average of the generator's weights keeps at each step; the
            average is the model. 0: the last weights are.
        n_evaluated: test items that the curves are drawn from.
    """

    learning_rate: float = Field(gt=0)
    final_rate: float = Field(gt=0, le=1)
    betas: tuple[float, float]
    clip: float = Field(gt=0)
    average: float = Field(ge=0, lt=1)
    n_evaluated: int = Field(ge=0)
