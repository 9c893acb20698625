"""The judge of style in latents: a unit vector that names the genre and hides the source."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.nn import functional

from soundgate.runtime.randomness import keyed_generator, keyed_seed
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.codec.latents import LatentCache
from soundgate.tracks.transfer.codec.settings import BankSettings
from soundgate.training.adversarial import reverse_gradient
from soundgate.training.distribution import own_share
from soundgate.training.learner import Learner
from soundgate.training.optimisers import adamw
from soundgate.training.schedule import set_rate
from soundgate.training.task import DrawnTask

STAGE = "transfer-bank"
DIM = 128


class LatentJudge(nn.Module):
    """Convolutions over time, mean and spread of what they find, a unit vector, heads for genre and source.

    Args:
        latents: gives dimension, mean and spread of a frame.
        channels: of the convolutions.
        n_genres: classes of the genre head.
        n_sources: classes of the source head.
    """

    def __init__(self, dim: int, channels: int, n_genres: int, n_sources: int) -> None:
        super().__init__()
        self.config = {"dim": dim, "channels": channels, "n_genres": n_genres, "n_sources": n_sources}
        self.register_buffer("mean", torch.zeros(dim, 1))
        self.register_buffer("std", torch.ones(dim, 1))
        self.trunk = nn.Sequential(
            *_layer(dim, channels, 5, 2), *_layer(channels, channels, 5, 2), *_layer(channels, channels, 3, 1)
        )
        self.out = nn.Linear(2 * channels, DIM)
        self.genre_head = nn.Linear(DIM, n_genres)
        self.source_head = nn.Sequential(nn.Linear(DIM, DIM), nn.ReLU(), nn.Linear(DIM, n_sources))

    def forward(self, latents: Tensor) -> Tensor:
        """Return [B, 128] of unit length from latents [B, D, L], L of at least 8."""
        hidden = self.trunk((latents - self.mean) / self.std)
        moments = torch.cat([hidden.mean(-1), hidden.std(-1, correction=0)], dim=-1)
        return functional.normalize(self.out(moments), dim=-1)

    def genre_logits(self, embedding: Tensor) -> Tensor:
        """Return [B, G]; a unit vector is scaled by 10 so that a softmax can be sure."""
        return self.genre_head(10 * embedding)


def _layer(n_in: int, n_out: int, size: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv1d(n_in, n_out, size, stride, padding=size // 2), nn.GroupNorm(8, n_out), nn.ReLU()


class Batch(NamedTuple):
    """This process's share of a step's crops.

    Args:
        latents: float32 [B, D, L].
        genre: int64 [B].
        source: int64 [B].
    """

    latents: Tensor
    genre: Tensor
    source: Tensor


class JudgeTask(DrawnTask):
    """Genre from the embedding; the source, whose gradient is turned round.

    Args:
        cache: the chunks.
        latents: theirs.
        settings: see `BankSettings`.
        seed: of the draws.
        n_steps: of the whole training, for the schedule.
        device: to compute on.
    """

    def __init__(
        self, cache: ChunkCache, latents: LatentCache, settings: BankSettings, seed: int, n_steps: int,
        device: torch.device,
    ) -> None:  # fmt: skip
        self.latents, self.settings, self.seed, self.n_steps, self.device = latents, settings, seed, n_steps, device
        self.rows = cache.rows("train")
        self.genre = torch.tensor(cache.index["genre_code"].to_numpy())
        self.source = torch.tensor(cache.index["source_code"].to_numpy())
        torch.manual_seed(keyed_seed(seed, STAGE, "weights"))
        self.judge = LatentJudge(latents.dim, settings.channels, len(cache.genres), len(cache.sources))
        self.judge.mean.copy_(torch.from_numpy(latents.mean)[:, None])
        self.judge.std.copy_(torch.from_numpy(latents.std)[:, None])
        self.judge.to(device)
        self.modules = {"judge": self.judge}
        parameters = self.judge.parameters()
        optimiser = adamw(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
        self.optimisers = {"adamw": optimiser}
        self.learner = Learner(optimiser)

    def draw(self, items: np.ndarray, step: int) -> Batch:
        """Draw crops."""
        rows = self.rows[items]
        segment = min(self.settings.segment, self.latents.n_frames)
        generator = keyed_generator(self.seed, STAGE, f"crops {step}")
        starts = generator.integers(self.latents.n_frames - segment + 1, size=len(rows))
        own = own_share(len(rows))
        rows, starts = rows[own], starts[own]
        return Batch(self.latents.batch(rows, starts, segment), self.genre[rows], self.source[rows])

    def learn(self, batch: Batch, step: int) -> dict[str, float]:
        """Train on crops."""
        latents, genre, source = send_to_device(batch, self.device, non_blocking=True)
        embedding = self.judge(latents)
        logits = self.judge.genre_logits(embedding)
        losses = {
            "genre": functional.cross_entropy(logits, genre),
            "source": functional.cross_entropy(self.judge.source_head(reverse_gradient(10 * embedding)), source),
        }
        decay = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.n_steps)))
        set_rate(self.optimisers["adamw"], self.settings.learning_rate * decay)
        total = losses["genre"] + self.settings.source_weight * losses["source"]
        accuracy = (logits.argmax(-1) == genre).float().mean()
        return self.learner.descend(losses | {"accuracy": accuracy, "loss": total})

    def evaluate(self) -> dict[str, float]:
        """Nothing: the judge is measured once, when it is trained."""
        return {}


@torch.no_grad()
def embed_latents(judge: LatentJudge, latents: LatentCache, n_rows: int, device: torch.device) -> np.ndarray:
    """Return the embedding of every chunk of music, float32 [n_rows, 128]; NaN for what is not music."""
    result = np.full((n_rows, DIM), np.nan, np.float32)
    for part in np.array_split(latents.rows, max(1, len(latents.rows) // 64)):
        result[part] = judge(latents.batch(part).to(device)).cpu().numpy()
    return result
