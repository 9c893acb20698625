"""What both stages of the mel path share: frozen analysis, the critic's side, the generator's update, the curves."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from soundgate.audio.mel import FLOOR_DB
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.transfer.adversarial_task import AdversarialTask, Networks, spread_rows
from soundgate.tracks.transfer.cache import N_FRAMES, ChunkCache
from soundgate.tracks.transfer.content.model import Analysis, ContentModel
from soundgate.tracks.transfer.mel.critic import Critic
from soundgate.tracks.transfer.mel.generator import Generator
from soundgate.tracks.transfer.mel.settings import MelTransferSettings, Stage1Settings, Stage2Settings
from soundgate.tracks.transfer.style.targets import StyleTargets
from soundgate.training.optimisers import adamw

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


def new_networks(settings: MelTransferSettings, frozen: Frozen, seed: int) -> Networks:
    """Return untrained networks; the weights are keyed by the seed."""
    torch.manual_seed(keyed_seed(seed, STAGE, "weights"))
    generator = Generator(settings.generator, frozen.targets.dim)
    critic = Critic(settings.critic, frozen.targets.dim, frozen.cache.mels.shape[1])
    return Networks.of(generator, critic, frozen.device)


class MelTask(AdversarialTask):
    """Base of both stages, each of which has its ``name``.

    Args:
        frozen: see `Frozen`.
        networks: see `Networks`.
        settings: see `MelTransferSettings`.
        stage: the one of its two stages that this is.
        seed: of the draws.
        n_steps: of the whole stage, for the schedules.
    """

    def __init__(
        self,
        frozen: Frozen,
        networks: Networks,
        settings: MelTransferSettings,
        stage: Stage1Settings | Stage2Settings,
        seed: int,
        n_steps: int,
    ) -> None:
        optimisers = {
            name: adamw(module.parameters(), settings.learning_rate, betas=settings.betas)
            for name, module in (("generator", networks.generator), ("critic", networks.critic))
        }
        weights = stage.weights.model_dump()
        super().__init__(networks, optimisers, settings, weights, stage.adversary, seed, n_steps)
        self.frozen, self.settings = frozen, settings
        self.rows = frozen.cache.rows("train")
        self.genre = frozen.cache.index["genre_code"].to_numpy()
        self.evaluated = spread_rows(frozen.cache.rows("test"), settings.n_evaluated)

    @abstractmethod
    def evaluation_targets(self, rows: np.ndarray) -> np.ndarray:
        """Return float32 [n, D]: what the curves ask of each of these rows."""

    def crops(self, rows: np.ndarray, generator: np.random.Generator) -> Tensor:
        """Return each row's spectrogram from a random moment on, in memory."""
        starts = generator.integers(self.frozen.cache.mels.shape[-1] - N_FRAMES + 1, size=len(rows))
        return self.frozen.cache.batch(rows, starts)

    def played(self, rows: np.ndarray) -> Tensor:
        """Return the rows' spectrograms, on the device."""
        return self.frozen.cache.batch(rows).to(self.frozen.device)

    def rendered(self, rows: np.ndarray, genres: np.ndarray) -> Tensor:
        """Return the averaged generator's spectrograms of rows, asked for the centroids of genres."""
        source = self.frozen.content(self.played(rows))
        targets = self.on_device(self.frozen.targets.centroids[genres])
        return self.networks.average(source.content, source.sequence, targets)

    def on_device(self, values: np.ndarray) -> Tensor:
        """Return an array as a tensor on the device."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.frozen.device)

    def own_targets(self, rows: np.ndarray) -> Tensor:
        """Return the rows' own target vectors."""
        return self.on_device(self.frozen.targets.targets[rows])

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
        mels, average = self.played(rows), self.networks.average
        source = self.frozen.content(mels)
        same = average(source.content, source.sequence, self.own_targets(rows))
        distance = (same - mels).abs().mean(dim=(1, 2)) * (-FLOOR_DB / 2)
        targets = self.on_device(self.evaluation_targets(rows))
        made = average(source.content, source.sequence, targets)
        analysis = self.frozen.content(made)
        content = functional.cosine_similarity(analysis.content, source.content)
        style = functional.cosine_similarity(self.project(analysis, made), targets)
        return torch.stack([distance, content, style], dim=1).cpu().numpy()
