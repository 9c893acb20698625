"""Training a generator against a critic: turns, rates, the critic's side, the generator's running average."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.adversarial_settings import AdversarySettings, ScheduleSettings
from soundgate.training.adversarial import hinge_discriminator, r1_penalty, set_trainable
from soundgate.training.averaging import follow
from soundgate.training.learner import Learner
from soundgate.training.schedule import set_rate
from soundgate.training.task import DrawnTask

# Items that the health monitor's probe listens to.
_PROBED = 8


class Networks(NamedTuple):
    """What is trained, on the device.

    Args:
        generator: with its last weights.
        average: the generator with the running average of its weights; it is the model.
        critic: from inputs and condition to a `Verdict`.
    """

    generator: nn.Module
    average: nn.Module
    critic: nn.Module

    @classmethod
    def of(cls, generator: nn.Module, critic: nn.Module, device: torch.device) -> Networks:
        """Return a pair and the generator's average, which begins as its copy, on the device."""
        average = copy.deepcopy(generator).requires_grad_(False)
        return cls(*(network.to(device) for network in (generator, average, critic)))


class AdversarialTask(DrawnTask):
    """Base of a stage of adversarial training: `soundgate.training.loop.Task` less the losses.

    Args:
        networks: see `Networks`.
        optimisers: ``generator`` and ``critic``.
        schedule: see `ScheduleSettings`.
        weights: of the losses by name; ``adversarial`` and ``feature_matching`` ask the critic.
        adversary: see `AdversarySettings`.
        seed: of the draws.
        n_steps: of the whole stage, for the schedules.
    """

    name: str
    genre: np.ndarray
    evaluated: np.ndarray

    def __init__(
        self,
        networks: Networks,
        optimisers: dict[str, torch.optim.Optimizer],
        schedule: ScheduleSettings,
        weights: Mapping[str, float],
        adversary: AdversarySettings,
        seed: int,
        n_steps: int,
    ) -> None:
        self.networks, self.optimisers, self.schedule = networks, optimisers, schedule
        self.weights, self.adversary = weights, adversary
        self.seed, self.n_steps = seed, n_steps
        self.learners = {name: Learner(own, schedule.clip) for name, own in optimisers.items()}
        self.modules: dict[str, nn.Module] = networks._asdict()

    @abstractmethod
    def evaluate(self) -> dict[str, float]:
        """Return the curves' figures; see `soundgate.training.loop.Task`."""

    @abstractmethod
    def played(self, rows: np.ndarray) -> Tensor:
        """Return the spectrograms of rows, [B, M, F] in the models' scale."""

    @abstractmethod
    def rendered(self, rows: np.ndarray, genres: np.ndarray) -> Tensor:
        """Return the averaged generator's spectrograms of rows, asked for the centroids of genres, [B, M, F]."""

    @torch.no_grad()
    def probe(self) -> dict[str, float]:
        """Return what the health monitor watches, on test items that are always the same.

        ``swap_change``: how much an output changes with the genre asked for, relative to its own size;
        ``pairwise_ratio``: distance between outputs in their own genres over that between the items themselves.
        """
        rows = spread_rows(self.evaluated, _PROBED)
        if len(rows) < 2:
            return {}
        own = self.genre[rows]

        def apart(mels: Tensor) -> Tensor:
            return torch.pdist(mels.flatten(1), p=1).mean()

        made, swapped = self.rendered(rows, own), self.rendered(rows, other_genres(own, self.genre.max() + 1, 0))
        return {
            "swap_change": float((swapped - made).norm() / made.norm().clamp(min=1e-8)),
            "pairwise_ratio": float(apart(made) / apart(self.played(rows)).clamp(min=1e-8)),
        }

    def draws(self, step: int) -> np.random.Generator:
        """Return the generator of a step's draws."""
        return keyed_generator(self.seed, self.name, f"draws {step}")

    def plays(self, step: int) -> bool:
        """Whether the critic has come in, if it is asked at all."""
        asked = self.weights["adversarial"] or self.weights["feature_matching"]
        return bool(asked) and step >= self.adversary.start * self.n_steps

    def set_rates(self, step: int) -> None:
        """Set both learning rates for a step."""
        final = self.schedule.final_rate
        share = final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.n_steps)))
        for name, factor in (("generator", 1.0), ("critic", self.adversary.rate)):
            set_rate(self.optimisers[name], self.schedule.learning_rate * factor * share)

    def update_critic(self, real: Tensor, real_condition: Tensor, fake: Tensor, condition: Tensor, step: int) -> dict:
        """Let the critic learn, where it is its turn and it is not too good already.

        Args:
            real: [B, ...].
            real_condition: [B, D].
            fake: [B, ...], detached.
            condition: [B, D], what the fakes were made for.
            step: of the generator.

        Returns:
            ``critic``, its hinge loss, ``critic_skipped``, 1 where it did not learn, and ``r1`` where that was
            its turn; nothing where the critic's was not.
        """
        if not self.plays(step) or step % self.adversary.every:
            return {}
        critic = self.networks.critic
        set_trainable(critic, True)
        verdict = critic(torch.cat([real, fake]), torch.cat([real_condition, condition]))
        halves = [logits.split([len(real), len(fake)]) for logits in verdict.logits]
        loss = hinge_discriminator([own for own, _ in halves], [made for _, made in halves])
        losses = {"critic": float(loss.detach())}
        skipped = losses["critic"] < self.adversary.skip_below
        if not skipped:
            if self.adversary.r1_gamma and step // self.adversary.every % self.adversary.r1_every == 0:
                inputs = real.detach().clone().requires_grad_(True)
                penalty = r1_penalty(critic(inputs, real_condition).logits, inputs)
                loss = loss + self.adversary.r1_gamma * self.adversary.r1_every * penalty
                losses["r1"] = float(penalty.detach())
            self.learners["critic"].descend({"loss": loss})
        return losses | {"critic_skipped": float(skipped)}

    def update_generator(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """Let the generator learn from the weighted sum of the losses, and its average follow."""
        total = sum(self.weights[name] * loss for name, loss in losses.items())
        means = self.learners["generator"].descend(losses | {"loss": total})
        follow(self.networks.average, self.networks.generator, self.schedule.average)
        return means


def spread_rows(rows: np.ndarray, count: int) -> np.ndarray:
    """Return ``count`` rows evenly spread over ``rows``, or all where there are fewer."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]


def other_genres(codes: np.ndarray, n_genres: int, step: int) -> np.ndarray:
    """Return a genre for each item that is not its own; over ``n_genres - 1`` steps, each of the others once.

    Args:
        codes: int [B], the items' own genres.
        n_genres: at least 2.
        step: of the training.
    """
    turn = (step + np.arange(len(codes))) % (n_genres - 1)
    return (codes + 1 + turn) % n_genres


def mixing(alpha: tuple[float, float], step: int, n_steps: int) -> float:
    """Return the centroid's share in a mix: the first of ``alpha`` at step 0, the second at the last step."""
    return float(np.interp(step, (0, max(1, n_steps - 1)), alpha))
