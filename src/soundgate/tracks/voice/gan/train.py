"""The whole training of the voice converter."""

from __future__ import annotations

from pathlib import Path

import torch

from soundgate.errors import CorpusError
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.gan.settings import TrainSettings
from soundgate.tracks.voice.gan.task import STAGE, GanTask
from soundgate.tracks.voice.model.converter import VoiceConverter
from soundgate.tracks.voice.speaker.model import SpeakerEncoder
from soundgate.training.loop import LoopSettings, fit


def train_converter(
    cache: VoiceCache,
    speaker: SpeakerEncoder,
    settings: TrainSettings,
    seed: int,
    device: torch.device,
    checkpoint: Path,
) -> tuple[VoiceConverter, list[dict]]:
    """Train, going on from the checkpoint where there is one.

    Returns:
        The converter, and one row of losses for each epoch.

    Raises:
        CorpusError: nothing to train on.
        TrainingError: memory does not suffice, or losses stay infinite.
    """
    n_items = len(cache.rows("train"))
    if not n_items or not len(cache.rows("validation")):
        raise CorpusError(STAGE, expected="utterances to train on and to validate with", found="none")
    seed += settings.seed
    loop = task_loop(settings)
    task = GanTask(cache, speaker, settings, seed, loop.n_steps(n_items), device)
    return task.converter, fit(task, loop, n_items, seed=seed, name=STAGE, checkpoint=checkpoint)


def task_loop(settings: TrainSettings) -> LoopSettings:
    """Return the loop over `GanTask`'s items: of a speaker's crops in a batch the first is one."""
    changes: dict[str, int] = {"batch_size": settings.loop.batch_size // settings.utterances_per_speaker}
    if settings.epoch_s is not None:
        changes["steps_per_epoch"] = max(1, round(settings.epoch_s / settings.step_s))
    return settings.loop.model_copy(update=changes)


def summary(history: list[dict]) -> dict[str, float]:
    """Return a training's last figures and how many steps it had; times are not among them."""
    return {"n_steps": history[-1]["step"], **history[-1]} if history else {"n_steps": 0}
