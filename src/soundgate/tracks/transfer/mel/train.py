"""Trains the mel path: stage 1, stage 2, and the folder they leave behind."""

from __future__ import annotations

import pandas as pd

from soundgate.errors import CorpusError
from soundgate.tracks.transfer.mel.model import save_mel_model
from soundgate.tracks.transfer.mel.settings import MelTransferSettings
from soundgate.tracks.transfer.mel.stages import IdentityTask, TransferTask
from soundgate.tracks.transfer.mel.task import Frozen, new_networks
from soundgate.tracks.transfer.run_folder import RunFolder
from soundgate.training.loop import fit


def train_mel(frozen: Frozen, settings: MelTransferSettings, seed: int, run: RunFolder) -> pd.DataFrame:
    """Train both stages, going on from the run's checkpoints where there are any, and write the run.

    Args:
        frozen: the cache, Lab 1's model, Lab 2's targets.
        settings: see `MelTransferSettings`.
        seed: of every draw.
        run: gets checkpoints, state, history, and the model.

    Returns:
        The history: one row an epoch.

    Raises:
        CorpusError: fewer than two genres, or nothing to train on.
    """
    n_items = len(frozen.cache.rows("train"))
    if len(frozen.targets.genres) < 2 or not n_items:
        found = f"{n_items} chunks, genres {', '.join(frozen.targets.genres) or 'none'}"
        raise CorpusError("transfer-mel", expected="chunks to train on, of at least two genres", found=found)
    networks = new_networks(settings, frozen, seed)
    stages = {1: (IdentityTask, settings.stage1.loop), 2: (TransferTask, settings.stage2.loop)}
    history = {}
    for stage, (task, loop) in stages.items():
        built = task(frozen, networks, settings, seed, loop.n_steps(n_items))
        history[stage] = fit(built, loop, n_items, seed=seed, name=built.name, checkpoint=run.checkpoint(stage))
    save_mel_model(run.folder, networks.average)
    table = run.write_history(history)
    run.write_state({
        "status": "complete",
        "seed": seed,
        "stages": sorted(stages),
        "epochs": {str(stage): loop.epochs for stage, (_, loop) in stages.items()},
        "steps": {str(stage): loop.n_steps(n_items) for stage, (_, loop) in stages.items()},
    })  # fmt: skip
    return table
