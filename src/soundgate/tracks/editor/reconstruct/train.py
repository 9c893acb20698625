"""Trains phase 1 and measures it."""

from __future__ import annotations

from pathlib import Path

import torch

from soundgate.runtime.errors import CorpusError
from soundgate.tracks.editor.cache import PairCache
from soundgate.tracks.editor.reconstruct.measures import measure
from soundgate.tracks.editor.reconstruct.model import Reconstruction
from soundgate.tracks.editor.reconstruct.settings import ReconstructionSettings
from soundgate.tracks.editor.reconstruct.task import STAGE, ReconstructionTask
from soundgate.training.health.settings import HealthSettings
from soundgate.training.loop import fit


def train_reconstruction(
    cache: PairCache,
    settings: ReconstructionSettings,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    health: HealthSettings | None = None,
) -> tuple[Reconstruction, list[dict]]:
    """Train on the train pairs, going on from the checkpoint where there is one.

    Returns:
        The model, frozen and in evaluation mode, and one row of figures for each epoch.

    Raises:
        CorpusError: nothing to train on, or a beat is longer than a window.
    """
    n_items = len(cache.rows("train"))
    if not n_items:
        raise CorpusError("editor-cache", expected="pairs to train on", found="none")
    longest = max(int((edges[1:] - edges[:-1]).max()) for edges in cache.table["edges"])
    if longest > settings.network.n_frames:
        raise CorpusError(
            "editor-cache", expected=f"beats of at most {settings.network.n_frames} frames, the network's window",
            found=f"one of {longest}", remedy="Lower editor.cache.max_beat_s, or raise the network's n_frames.",
        )  # fmt: skip
    task = ReconstructionTask(cache, settings, seed, device, settings.loop.n_steps(n_items))
    history = fit(task, settings.loop, n_items, seed=seed, name=STAGE, checkpoint=checkpoint, health=health)
    task.model.set_checkpointing(False)
    return task.model.requires_grad_(False).eval(), history


def measure_reconstruction(model: Reconstruction, cache: PairCache, seed: int) -> dict:
    """Return ``n_parameters`` and `measure` on the splits ``validation`` and ``test``, as far as they have pairs."""
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    rows = {split: cache.rows(split) for split in ("validation", "test")}
    measured = {split: measure(model, cache, own, seed, STAGE) for split, own in rows.items() if len(own)}
    return {"n_parameters": n_parameters} | measured
