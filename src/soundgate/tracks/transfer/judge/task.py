"""Training of the held-out judge of content."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from accelerate.utils import send_to_device
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from soundgate.audio.mel import from_model
from soundgate.runtime.config import Section
from soundgate.runtime.randomness import keyed_generator, keyed_seed
from soundgate.tracks.transfer.augment import rerecord
from soundgate.tracks.transfer.cache import N_FRAMES, ChunkCache
from soundgate.tracks.transfer.content.objective import contrast
from soundgate.tracks.transfer.judge.features import content_features, shift_bands
from soundgate.tracks.transfer.judge.networks import ContentJudge
from soundgate.training.distribution import own_share, whole_batch
from soundgate.training.learner import Learner
from soundgate.training.loop import LoopSettings
from soundgate.training.optimisers import adamw
from soundgate.training.schedule import set_rate
from soundgate.training.task import DrawnTask

STAGE = "transfer-judge"


class JudgeSettings(Section):
    """Section ``transfer.judge``.

    Args:
        channels: of the content judge.
        loop: how long it trains.
        learning_rate: of AdamW, decayed by a half cosine.
        weight_decay: of AdamW.
        temperature: of the contrast.
        same: cosine of the same music from which it costs nothing.
        different: cosine of different music up to which it costs nothing.
        margin_weight: of both.
        max_shift: bands by which music is moved for training, either way: other keys, roughly.
        n_copies: re-recorded, blurred copies of each clip that the style judge learns from: it is to hear neither
            equalisers nor sharpness.
        n_bootstrap: draws of the intervals.
    """

    channels: int = Field(ge=8)
    loop: LoopSettings
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    temperature: float = Field(gt=0)
    same: float = Field(gt=0, le=1)
    different: float = Field(ge=0, lt=1)
    margin_weight: float = Field(ge=0)
    max_shift: int = Field(ge=0)
    n_copies: int = Field(ge=1)
    n_bootstrap: int = Field(ge=1)


class Batch(NamedTuple):
    """Two renderings of each item's music.

    Args:
        clips: float32 [2 B, n_mels, F], the first of all items, then the second.
        shift: int64 [B], bands that both are to be moved by.
        groups: int64 [B], equal for the same music in the same key.
    """

    clips: Tensor
    shift: np.ndarray
    groups: Tensor


class JudgeTask(DrawnTask):
    """Two re-recorded renderings of the same music against other music.

    Args:
        cache: the chunks; its judge rows are the items.
        settings: see `JudgeSettings`.
        seed: of the draws.
        n_steps: of the whole training, for the schedule.
        device: to compute on.
    """

    def __init__(
        self, cache: ChunkCache, settings: JudgeSettings, seed: int, n_steps: int, device: torch.device
    ) -> None:
        self.cache, self.settings, self.seed, self.n_steps, self.device = cache, settings, seed, n_steps, device
        self.rows = cache.rows("judge")
        self.music_id = torch.tensor(cache.index.groupby(["group", "chunk"]).ngroup().to_numpy())
        torch.manual_seed(keyed_seed(seed, STAGE, "weights"))
        self.judge = ContentJudge(cache.mels.shape[1], settings.channels).to(device)
        self.modules = {"judge": self.judge}
        parameters = self.judge.parameters()
        optimiser = adamw(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
        self.optimisers = {"adamw": optimiser}
        self.learner = Learner(optimiser)

    def draw(self, items: np.ndarray, step: int) -> Batch:
        """Draw two renderings of each item's music, moved alike in time and key."""
        generator = keyed_generator(self.seed, STAGE, f"views {step}")
        rows = self.rows[items]
        partners = np.array([self._partner(row, generator) for row in rows])
        start = int(generator.integers(self.cache.mels.shape[-1] - N_FRAMES + 1))
        clips = torch.cat([self.cache.batch(part, start) for part in (rows, partners)])
        shift = generator.integers(-self.settings.max_shift, self.settings.max_shift + 1, size=len(rows))
        # Music in another key is other music.
        return Batch(clips, shift, self.music_id[rows] * 100 + torch.from_numpy(shift))

    def learn(self, batch: Batch, step: int) -> dict[str, float]:
        """Train on clips, re-recorded."""
        clips, shift, groups = send_to_device(batch, self.device, non_blocking=True)
        features = content_features(from_model(rerecord(clips)))
        features = shift_bands(features, np.concatenate([shift, shift]), self.cache.mels.shape[1])
        own = features.unflatten(0, (2, len(groups)))[:, own_share(len(groups))].flatten(0, 1)
        first, second = (whole_batch(half) for half in self.judge.embed(own).chunk(2))
        losses = self._losses(first, second, groups)
        decay = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.n_steps)))
        set_rate(self.optimisers["adamw"], self.settings.learning_rate * decay)
        total = losses["contrast"] + self.settings.margin_weight * (losses["same"] + losses["different"])
        means = self.learner.descend(losses | {"loss": total})
        return {name: means[name] for name in losses}

    def evaluate(self) -> dict[str, float]:
        """Nothing: the judges are measured once, when they are trained."""
        return {}

    def _partner(self, row: int, generator: np.random.Generator) -> int:
        index = self.cache.index
        renderings = self.cache.renderings[index["group"].iloc[row], index["chunk"].iloc[row]]
        others = renderings[(index["start_s"].iloc[renderings] == index["start_s"].iloc[row]) & (renderings != row)]
        return int(generator.choice(others)) if len(others) else int(row)

    def _losses(self, first: Tensor, second: Tensor, groups: Tensor) -> dict[str, Tensor]:
        cosines = first @ second.T
        other = groups[:, None] != groups[None, :]
        excess = functional.relu(cosines - self.settings.different).square() * other
        return {
            "contrast": contrast(first, second, groups, self.settings.temperature),
            "same": functional.relu(self.settings.same - cosines.diagonal()).mean(),
            "different": excess.sum() / other.sum().clamp(min=1),
        }
