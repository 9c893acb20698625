"""Trains Lab 1."""

from __future__ import annotations

from pathlib import Path

import torch

from soundgate.runtime.errors import CorpusError
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.content.model import ContentModel
from soundgate.tracks.transfer.content.settings import ContentSettings
from soundgate.tracks.transfer.content.task import STAGE, ContentTask
from soundgate.training.health.settings import HealthSettings
from soundgate.training.loop import fit


def train_content(
    cache: ChunkCache,
    settings: ContentSettings,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    health: HealthSettings | None = None,
) -> tuple[ContentModel, list[dict]]:
    """Train on the train rows, going on from the checkpoint where there is one.

    Returns:
        The model, frozen and in evaluation mode, and one row of losses for each epoch.

    Raises:
        CorpusError: fewer than two genres.
    """
    if len(cache.genres) < 2:
        raise CorpusError("transfer-labels", expected="at least two genres", found=", ".join(cache.genres) or "none")
    n_items = len(cache.rows("train"))
    task = ContentTask(cache, settings, seed, device, n_steps=settings.loop.n_steps(n_items))
    history = fit(task, settings.loop, n_items, seed=seed, name=STAGE, checkpoint=checkpoint, health=health)
    return task.model.requires_grad_(False).eval(), history
