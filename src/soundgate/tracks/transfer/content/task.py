"""Lab 1's training step."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.nn import functional

from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.augment import rerecord
from soundgate.tracks.transfer.cache import N_FRAMES, ChunkCache
from soundgate.tracks.transfer.content.model import DIM, Analysis, ContentModel
from soundgate.tracks.transfer.content.objective import (
    alignment,
    contrast,
    excess_similarity,
    sequence_contrast,
)
from soundgate.tracks.transfer.content.settings import ContentSettings
from soundgate.training.adversarial import reverse_gradient
from soundgate.training.finite import buffers_kept
from soundgate.training.learner import Learner
from soundgate.training.optimisers import adamw
from soundgate.training.schedule import set_rate
from soundgate.training.task import DrawnTask

STAGE = "transfer-content"


class Views(NamedTuple):
    """Both views of a batch.

    Args:
        mels: float32 [2 B + G, n_mels, F]: the items, their partners, and G clips that are not music.
        genre: int64 [2 B].
        source: int64 [2 B].
        music_id: int64 [B].
    """

    mels: Tensor
    genre: Tensor
    source: Tensor
    music_id: Tensor


class ContentTask(DrawnTask):
    """Two views of each item: another rendering of the same music where there is one, re-recorded in any case.

    Args:
        cache: chunks; its train rows are the items, music first.
        settings: see `ContentSettings`.
        seed: of the draws.
        device: to compute on.
        n_steps: of the whole training, for the schedule.
    """

    def __init__(
        self, cache: ChunkCache, settings: ContentSettings, seed: int, device: torch.device, n_steps: int
    ) -> None:
        self.cache, self.settings, self.seed, self.device, self.n_steps = cache, settings, seed, device, n_steps
        self.rows = cache.rows("train")
        self.others = cache.rows("train", music=False)
        index = cache.index
        self.genre = torch.tensor(index["genre_code"].to_numpy())
        self.source = torch.tensor(index["source_code"].to_numpy())
        self.music_id = torch.tensor(index.groupby(["group", "chunk"]).ngroup().to_numpy())
        self.start_s = index["start_s"].to_numpy()
        torch.manual_seed(int(keyed_generator(seed, STAGE, "weights").integers(2**31)))
        self.model = ContentModel(settings.encoder, len(cache.genres), len(cache.sources)).to(device)
        n_classes = len(cache.genres) + len(cache.sources)
        self.adversary = nn.Sequential(nn.Linear(DIM, DIM), nn.ReLU(), nn.Linear(DIM, n_classes)).to(device)
        self.modules = {"model": self.model, "adversary": self.adversary}
        parameters = [*self.model.parameters(), *self.adversary.parameters()]
        optimiser = adamw(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
        self.optimisers = {"adamw": optimiser}
        self.learner = Learner(optimiser)

    def draw(self, items: np.ndarray, step: int) -> Views:
        """Draw two views of the items and, for the gate, clips that are not music."""
        rows = self.rows[items]
        generator = keyed_generator(self.seed, STAGE, f"views {step}")
        partners = self._partners(rows, generator)
        start = int(generator.integers(self.cache.mels.shape[-1] - N_FRAMES + 1))
        clips = [self.cache.batch(part, start) for part in (rows, partners)]
        n_gate = min(len(self.others), len(rows) // 2)
        gate_rows = generator.choice(self.others, n_gate) if n_gate else self.others[:0]
        if n_gate:
            clips.append(self.cache.batch(gate_rows, start))
        both = np.concatenate([rows, partners])
        return Views(torch.cat(clips), self.genre[both], self.source[both], self.music_id[rows])

    def learn(self, batch: Views, step: int) -> dict[str, float]:
        """Train on views, re-recorded."""
        self.model.train()
        views = send_to_device(batch, self.device, non_blocking=True)
        set_rate(self.optimisers["adamw"], self.settings.learning_rate * self._schedule(step))
        weights = self.settings.weights.model_dump()
        with buffers_kept(self.model):
            losses = self._losses(self.model(rerecord(views.mels)), views)
            total = sum(weights[name] * loss for name, loss in losses.items())
            return self.learner.descend(losses | {"loss": total})

    def evaluate(self) -> dict[str, float]:
        """Nothing: Lab 1 is measured once, when it is trained."""
        return {}

    def _schedule(self, step: int) -> float:
        warm = min(1.0, (step + 1) / 20)
        return warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.n_steps))))

    def _partners(self, rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draw another rendering of each row's music; the row itself where there is none."""
        index = self.cache.index
        partners = []
        for row, group, chunk in zip(rows, index["group"].iloc[rows], index["chunk"].iloc[rows], strict=True):
            candidates = self.cache.renderings[group, chunk]
            candidates = candidates[self.start_s[candidates] == self.start_s[row]]
            others = candidates[candidates != row]
            partners.append(generator.choice(others) if len(others) else row)
        return np.array(partners)

    def _losses(self, analysis: Analysis, views: Views) -> dict[str, Tensor]:
        n, settings = len(views.music_id), self.settings
        _, genre, source, music_id = views
        first, second = analysis.content[:n], analysis.content[n : 2 * n]
        steps_first, steps_second = analysis.sequence[:n], analysis.sequence[n : 2 * n]
        is_music = (torch.arange(len(analysis.music_logit), device=self.device) < 2 * n).float()
        pooled = self.adversary(reverse_gradient(analysis.content[: 2 * n]))
        moment = int(torch.randint(analysis.sequence.shape[-1], ()))
        at_moment = self.adversary(reverse_gradient(analysis.sequence[: 2 * n, :, moment]))
        genre_logits = self.model.genre_logits(analysis.style[: 2 * n])
        return {
            "contrast": contrast(first, second, music_id, settings.temperature),
            "sequence": sequence_contrast(
                steps_first, steps_second, music_id, settings.temperature, settings.n_moments
            ),
            "alignment": alignment(first, second) + alignment(steps_first.mT, steps_second.mT),
            "separation": excess_similarity(first, second, music_id, settings.mismatch_limit),
            "genre": functional.cross_entropy(genre_logits, genre),
            "source": functional.cross_entropy(analysis.source_logits[: 2 * n], source),
            "adversary": self._adversary_loss(pooled, genre, source) + self._adversary_loss(at_moment, genre, source),
            "music": functional.binary_cross_entropy_with_logits(analysis.music_logit, is_music),
        }

    def _adversary_loss(self, logits: Tensor, genre: Tensor, source: Tensor) -> Tensor:
        by_genre, by_source = logits.split([len(self.cache.genres), len(self.cache.sources)], dim=-1)
        return functional.cross_entropy(by_genre, genre) + functional.cross_entropy(by_source, source)
