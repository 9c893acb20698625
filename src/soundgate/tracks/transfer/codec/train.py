"""Trains the codec path: identity, transfer, diversity, and the folder they leave behind."""

from __future__ import annotations

from functools import partial

import pandas as pd

from soundgate.tracks.transfer.codec.model import save_translator
from soundgate.tracks.transfer.codec.settings import CodecTransferSettings
from soundgate.tracks.transfer.codec.task import STAGE, CodecTask, Frozen, new_networks
from soundgate.tracks.transfer.run_folder import RunFolder
from soundgate.tracks.transfer.run_training import Stage, count_items, train_run
from soundgate.training.health.settings import HealthSettings

STAGES = (1, 2, 3)


def train_codec(
    frozen: Frozen,
    settings: CodecTransferSettings,
    seed: int,
    run: RunFolder,
    health: HealthSettings | None = None,
) -> pd.DataFrame:
    """Train all stages, going on from the run's checkpoints where there are any, and write the run.

    Args:
        frozen: see `Frozen`.
        settings: see `CodecTransferSettings`.
        seed: of every draw.
        run: gets checkpoints, state, history, and the model.
        health: how the training is watched; it changes nothing.

    Returns:
        The history: one row an epoch.

    Raises:
        CorpusError: fewer than two genres, or nothing to train on.
    """
    n_items = count_items(STAGE, frozen.cache, frozen.bank.genres)
    networks = new_networks(settings, frozen, seed)
    stages = {
        number: Stage(
            partial(CodecTask, number, frozen, networks, settings, seed), getattr(settings, f"stage{number}").loop
        )
        for number in STAGES
    }
    return train_run(run, stages, n_items, seed, partial(save_translator, run.folder, networks.average), health)
