"""Trains the mel path: stage 1, stage 2, and the folder they leave behind."""

from __future__ import annotations

from functools import partial

import pandas as pd

from soundgate.tracks.transfer.mel.model import save_mel_model
from soundgate.tracks.transfer.mel.settings import MelTransferSettings
from soundgate.tracks.transfer.mel.stages import IdentityTask, TransferTask
from soundgate.tracks.transfer.mel.task import STAGE, Frozen, new_networks
from soundgate.tracks.transfer.run_folder import RunFolder
from soundgate.tracks.transfer.run_training import Stage, count_items, train_run
from soundgate.training.health.settings import HealthSettings


def train_mel(
    frozen: Frozen,
    settings: MelTransferSettings,
    seed: int,
    run: RunFolder,
    health: HealthSettings | None = None,
) -> pd.DataFrame:
    """Train both stages, going on from the run's checkpoints where there are any, and write the run.

    Args:
        frozen: the cache, Lab 1's model, Lab 2's targets.
        settings: see `MelTransferSettings`.
        seed: of every draw.
        run: gets checkpoints, state, history, and the model.
        health: how the training is watched; it changes nothing.

    Returns:
        The history: one row an epoch.

    Raises:
        CorpusError: fewer than two genres, or nothing to train on.
    """
    n_items = count_items(STAGE, frozen.cache, frozen.targets.genres)
    networks = new_networks(settings, frozen, seed)
    given = (frozen, networks, settings, seed)
    stages = {
        1: Stage(partial(IdentityTask, *given), settings.stage1.loop),
        2: Stage(partial(TransferTask, *given), settings.stage2.loop),
    }
    return train_run(run, stages, n_items, seed, partial(save_mel_model, run.folder, networks.average), health)
