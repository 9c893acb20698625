"""What both stages of the mel path share: frozen analysis, the critic's side, the generator's update, the curves."""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.audio.mel import FLOOR_DB
from soundgate.randomness import keyed_generator, keyed_seed
from soundgate.tracks.transfer.adversarial import hinge_discriminator, r1_penalty, set_trainable
from soundgate.tracks.transfer.cache import N_FRAMES, ChunkCache
from soundgate.tracks.transfer.content.model import Analysis, ContentModel
from soundgate.tracks.transfer.mel.critic import Critic
from soundgate.tracks.transfer.mel.generator import Generator
from soundgate.tracks.transfer.mel.settings import MelTransferSettings, Stage1Settings, Stage2Settings
from soundgate.tracks.transfer.style.targets import StyleTargets

STAGE = "transfer-mel"
_EVALUATION_BATCH = 32


class Frozen(NamedTuple):
    """What the training reads and does not change.

    Args:
        cache: the chunks.
        content: Lab 1's model, frozen, on the device.
        targets: Lab 2's target vectors.
        device: to compute on.
    """

    cache: ChunkCache
    content: ContentModel
    targets: StyleTargets
    device: torch.device


class Networks(NamedTuple):
    """What is trained, on the device.

    Args:
        generator: with its last weights.
        average: the generator with the running average of its weights.
        critic: see `Critic`.
    """

    generator: Generator
    average: Generator
    critic: Critic


def new_networks(settings: MelTransferSettings, frozen: Frozen, seed: int) -> Networks:
    """Return untrained networks; the weights are keyed by the seed."""
    torch.manual_seed(keyed_seed(seed, STAGE, "weights"))
    generator = Generator(settings.generator, frozen.targets.dim)
    critic = Critic(settings.critic, frozen.targets.dim, frozen.cache.mels.shape[1])
    networks = Networks(generator, copy.deepcopy(generator), critic)
    networks.average.requires_grad_(False)
    return Networks(*(network.to(frozen.device) for network in networks))


class MelTask:
    """Base of both stages: `soundgate.training.loop.Task` less the losses.

    A stage gives ``name``, ``step`` and ``evaluation_targets``.

    Args:
        frozen: see `Frozen`.
        networks: see `Networks`.
        settings: see `MelTransferSettings`.
        stage: the one of its two stages that this is.
        seed: of the draws.
        n_steps: of the whole stage, for the schedules.
    """

    name: str

    def __init__(
        self,
        frozen: Frozen,
        networks: Networks,
        settings: MelTransferSettings,
        stage: Stage1Settings | Stage2Settings,
        seed: int,
        n_steps: int,
    ) -> None:
        self.frozen, self.networks, self.settings = frozen, networks, settings
        self.weights, self.adversary = stage.weights.model_dump(), stage.adversary
        self.seed, self.n_steps = seed, n_steps
        self.rows = frozen.cache.rows("train")
        self.genre = frozen.cache.index["genre_code"].to_numpy()
        self.modules: dict[str, nn.Module] = networks._asdict()
        self.optimisers = {
            name: torch.optim.Adam(module.parameters(), settings.learning_rate, betas=settings.betas)
            for name, module in (("generator", networks.generator), ("critic", networks.critic))
        }
        test = frozen.cache.rows("test")
        self.evaluated = test[np.linspace(0, len(test) - 1, min(settings.n_evaluated, len(test))).round().astype(int)]

    def evaluation_targets(self, rows: np.ndarray) -> np.ndarray:
        """Return float32 [n, D]: what the curves ask of each of these rows."""
        raise NotImplementedError

    def draws(self, step: int) -> np.random.Generator:
        """Return the generator of a step's draws."""
        return keyed_generator(self.seed, self.name, f"draws {step}")

    def crops(self, rows: np.ndarray, generator: np.random.Generator) -> Tensor:
        """Return each row's spectrogram from a random moment on, on the device."""
        starts = generator.integers(self.frozen.cache.mels.shape[-1] - N_FRAMES + 1, size=len(rows))
        return self.frozen.cache.batch(rows, starts).to(self.frozen.device)

    def on_device(self, values: np.ndarray) -> Tensor:
        """Return an array as a tensor on the device."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.frozen.device)

    def own_targets(self, rows: np.ndarray) -> Tensor:
        """Return the rows' own target vectors."""
        return self.on_device(self.frozen.targets.targets[rows])

    def plays(self, step: int) -> bool:
        """Whether the critic has come in, if it is asked at all."""
        asked = self.weights["adversarial"] or self.weights["feature_matching"]
        return bool(asked) and step >= self.adversary.start * self.n_steps

    def set_rates(self, step: int) -> None:
        """Set both learning rates for a step."""
        final = self.settings.final_rate
        share = final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.n_steps)))
        for name, factor in (("generator", 1.0), ("critic", self.adversary.rate)):
            for group in self.optimisers[name].param_groups:
                group["lr"] = self.settings.learning_rate * factor * share

    def update_critic(self, real: Tensor, real_targets: Tensor, fake: Tensor, targets: Tensor, step: int) -> dict:
        """Let the critic learn, where it is its turn and it is not too good already.

        Args:
            real: [B, M, F].
            real_targets: [B, D].
            fake: [B, M, F], detached.
            targets: [B, D], what the fakes were made for.
            step: of the generator.

        Returns:
            ``critic``, its hinge loss, ``critic_skipped``, 1 where it did not learn, and ``r1`` where that was
            its turn; nothing where the critic's was not.
        """
        if not self.plays(step) or step % self.adversary.every:
            return {}
        critic = self.networks.critic
        set_trainable(critic, True)
        verdict = critic(torch.cat([real, fake]), torch.cat([real_targets, targets]))
        halves = [logits.split([len(real), len(fake)]) for logits in verdict.logits]
        loss = hinge_discriminator([own for own, _ in halves], [made for _, made in halves])
        losses = {"critic": float(loss.detach())}
        skipped = losses["critic"] < self.adversary.skip_below
        if not skipped:
            if self.adversary.r1_gamma and step // self.adversary.every % self.adversary.r1_every == 0:
                inputs = real.detach().clone().requires_grad_(True)
                penalty = r1_penalty(critic(inputs, real_targets).logits, inputs)
                loss = loss + self.adversary.r1_gamma * self.adversary.r1_every * penalty
                losses["r1"] = float(penalty.detach())
            self._descend("critic", loss)
        return losses | {"critic_skipped": float(skipped)}

    def update_generator(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """Let the generator learn from the weighted sum of the losses, and its average follow."""
        total = sum(self.weights[name] * loss for name, loss in losses.items())
        self._descend("generator", total)
        with torch.no_grad():
            parameters = zip(self.networks.average.parameters(), self.networks.generator.parameters(), strict=True)
            for average, weight in parameters:
                average.lerp_(weight, 1 - self.settings.average)
        return {name: float(loss.detach()) for name, loss in losses.items()} | {"loss": float(total.detach())}

    def project(self, analysis: Analysis, mels: Tensor) -> Tensor:
        """Return the target vectors that spectrograms have, differentiable."""
        return self.frozen.targets.project(analysis.style, mels)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return the averaged generator's figures on test items.

        ``test_l1_db`` at their own style; ``test_content`` (cosine of pooled content) and ``test_style`` (cosine
        to the target asked for) at `evaluation_targets`.
        """
        if not len(self.evaluated):
            return {}
        parts = [self.evaluated[i : i + _EVALUATION_BATCH] for i in range(0, len(self.evaluated), _EVALUATION_BATCH)]
        figures = np.concatenate([self._measured(rows) for rows in parts])
        return dict(zip(("test_l1_db", "test_content", "test_style"), figures.mean(axis=0).tolist(), strict=True))

    def _measured(self, rows: np.ndarray) -> np.ndarray:
        mels, average = self.frozen.cache.batch(rows).to(self.frozen.device), self.networks.average
        source = self.frozen.content(mels)
        same = average(source.content, source.sequence, self.own_targets(rows))
        distance = (same - mels).abs().mean(dim=(1, 2)) * (-FLOOR_DB / 2)
        targets = self.on_device(self.evaluation_targets(rows))
        made = average(source.content, source.sequence, targets)
        analysis = self.frozen.content(made)
        content = functional.cosine_similarity(analysis.content, source.content)
        style = functional.cosine_similarity(self.project(analysis, made), targets)
        return torch.stack([distance, content, style], dim=1).cpu().numpy()

    def _descend(self, name: str, loss: Tensor) -> None:
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.modules[name].parameters(), self.settings.clip)
        optimiser.step()
