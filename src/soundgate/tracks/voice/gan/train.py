"""The whole training of the voice converter."""

from __future__ import annotations

from pathlib import Path

import torch

from soundgate.runtime.errors import CorpusError
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.gan.samples import SAMPLES_FOLDER
from soundgate.tracks.voice.gan.settings import TrainSettings
from soundgate.tracks.voice.gan.task import STAGE, GanTask
from soundgate.tracks.voice.model.converter import VoiceConverter
from soundgate.tracks.voice.speaker.model import SpeakerEncoder
from soundgate.training.health.settings import HealthSettings
from soundgate.training.loop import fit
from soundgate.training.run_folders import run_folder


def train_converter(
    cache: VoiceCache,
    speaker: SpeakerEncoder,
    settings: TrainSettings,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    health: HealthSettings | None = None,
) -> tuple[VoiceConverter, list[dict]]:
    """Train, going on from the checkpoint where there is one; every ``sample_interval`` epochs it can be heard.

    Args:
        cache: the utterances.
        speaker: the speaker encoder; it learns too where the settings say so.
        settings: see `TrainSettings`.
        seed: of weights and draws.
        device: to compute on.
        checkpoint: the file to go on from and to write.
        health: see `soundgate.training.loop.fit`.

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
    loop = settings.task_loop
    task = GanTask(cache, speaker, settings, seed, loop.n_steps(n_items), device)
    task.samples = run_folder(SAMPLES_FOLDER, checkpoint, STAGE)
    history = fit(task, loop, n_items, seed=seed, name=STAGE, checkpoint=checkpoint, health=health)
    return task.converter, history


def summary(history: list[dict]) -> dict[str, float]:
    """Return a training's last figures and how many steps it had; times are not among them."""
    return {"n_steps": history[-1]["step"], **history[-1]} if history else {"n_steps": 0}
