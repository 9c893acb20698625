"""The sections of phase 2: network, imitation, PPO."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from soundgate.runtime.config import Section
from soundgate.training.loop import LoopSettings


class NetworkSettings(Section):
    """Size of the policy, and of the value network beside it.

    Args:
        channels: of the first convolution over frames.
        dim: of a beat's vector.
        n_layers: of the transformer over beats.
        n_heads: of its attention; a divisor of ``dim``.
        n_lags: each beat is compared with so many before it and as many after it.
        dropout: in imitation only; PPO's ratio needs a policy that answers the same twice.
        n_frames: longest window; a longer recording is read in overlapping ones.
    """

    channels: int = Field(ge=4)
    dim: int = Field(ge=8, multiple_of=2)
    n_layers: int = Field(ge=1)
    n_heads: int = Field(ge=1)
    n_lags: int = Field(ge=1)
    dropout: float = Field(ge=0, lt=1)
    n_frames: int = Field(ge=64)

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.dim % self.n_heads:
            raise ValueError(f"n_heads must divide dim: {self.dim} is no multiple of {self.n_heads}")
        return self


class ImitationSettings(Section):
    """Section ``editor.imitation``.

    Args:
        network: see `NetworkSettings`.
        loop: how long.
        learning_rate: of AdamW after the warm-up; then a half cosine to a twentieth.
        warmup_steps: over which it rises.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        label_smoothing: share of the target that is spread evenly over the seven labels.
        class_power: a label's weight is its inverse frequency in the train pairs to this power; 0: none has one.
        n_bootstrap: draws of the intervals.
    """

    network: NetworkSettings
    loop: LoopSettings
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    weight_decay: float = Field(ge=0)
    clip: float = Field(gt=0)
    label_smoothing: float = Field(ge=0, lt=1)
    class_power: float = Field(ge=0, le=1)
    n_bootstrap: int = Field(ge=100)


class RewardWeights(Section):
    """Weights of the reward's parts; 0 leaves a part out.

    Args:
        reconstruction: of minus the mean absolute difference to the true edit, in the models' scale.
        labels: of a label that is the true one.
        duration: of 1 minus the relative error of the edit's length.
        smoothness: of minus a change of label.
    """

    reconstruction: float = Field(ge=0)
    labels: float = Field(ge=0)
    duration: float = Field(ge=0)
    smoothness: float = Field(ge=0)

    def without_labels(self) -> RewardWeights:
        """Return the weights of the held-out score, in which the label bonus has no part."""
        return self.model_copy(update={"labels": 0.0})


class PpoSettings(Section):
    """Proximal policy optimisation.

    Args:
        loop: how long; a step is one batch of labels drawn, judged and learnt from.
        learning_rate: of Adam.
        clip: how far a ratio may leave 1 before it gains nothing more.
        gamma: share of a reward that is left a beat earlier; for ``advantage: sequence``.
        gae_lambda: of the generalised advantage estimate, likewise.
        entropy: weight of the entropy at the first step; falls to 0 at the last.
        value: weight of the value network's loss.
        n_epochs: updates on one batch.
        max_grad_norm: largest norm of each network's gradient.
        kl_stop: no further update on a batch whose policy has moved so far, nats a decision; 0: never.
        value_warmup: first steps, in which only the value network learns.
        average: share of itself that the averaged policy, which is the outcome, keeps at each batch.
        advantage: ``bandit``: a beat's own reward, which its label decides alone; ``sequence``: all that follow too.
        ratio: ``beat``: of each label's probability, with its own reward; ``seed_summed``: of all labels of a
            window at once, with the window's mean reward.
    """

    loop: LoopSettings
    learning_rate: float = Field(gt=0)
    clip: float = Field(gt=0, lt=1)
    gamma: float = Field(ge=0, lt=1)
    gae_lambda: float = Field(ge=0, le=1)
    entropy: float = Field(ge=0)
    value: float = Field(ge=0)
    n_epochs: int = Field(ge=1)
    max_grad_norm: float = Field(gt=0)
    kl_stop: float = Field(ge=0)
    value_warmup: int = Field(ge=0)
    average: float = Field(ge=0, lt=1)
    advantage: Literal["bandit", "sequence"]
    ratio: Literal["beat", "seed_summed"]

    @model_validator(mode="after")
    def _one_decision_has_no_sequence(self) -> Self:
        if self.ratio == "seed_summed" and self.advantage == "sequence":
            raise ValueError("ratio seed_summed makes a window one decision: advantage must be bandit")
        return self

    @property
    def horizon(self) -> float:
        """How many rewards a return adds up, about: the unit of the value network's outputs."""
        return 1 / (1 - self.gamma) if self.advantage == "sequence" else 1.0


class PolicySettings(Section):
    """Section ``editor.policy``.

    Args:
        network: of the policy, as it was imitated, and of the value network.
        ppo: see `PpoSettings`.
        reward: see `RewardWeights`.
        n_bootstrap: draws of the intervals.
    """

    network: NetworkSettings
    ppo: PpoSettings
    reward: RewardWeights
    n_bootstrap: int = Field(ge=100)
