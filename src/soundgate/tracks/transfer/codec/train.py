"""Trains the codec path: identity, transfer, diversity, and the folder they leave behind."""

from __future__ import annotations

import pandas as pd

from soundgate.errors import CorpusError
from soundgate.tracks.transfer.codec.model import save_translator
from soundgate.tracks.transfer.codec.settings import CodecTransferSettings
from soundgate.tracks.transfer.codec.task import CodecTask, Frozen, new_networks
from soundgate.tracks.transfer.run_folder import RunFolder
from soundgate.training.loop import fit

STAGES = (1, 2, 3)


def train_codec(frozen: Frozen, settings: CodecTransferSettings, seed: int, run: RunFolder) -> pd.DataFrame:
    """Train all stages, going on from the run's checkpoints where there are any, and write the run.

    Args:
        frozen: see `Frozen`.
        settings: see `CodecTransferSettings`.
        seed: of every draw.
        run: gets checkpoints, state, history, and the model.

    Returns:
        The history: one row an epoch.

    Raises:
        CorpusError: fewer than two genres, or nothing to train on.
    """
    n_items = len(frozen.cache.rows("train"))
    if len(frozen.bank.genres) < 2 or not n_items:
        found = f"{n_items} chunks, genres {', '.join(frozen.bank.genres) or 'none'}"
        raise CorpusError("transfer-codec", expected="chunks to train on, of at least two genres", found=found)
    networks = new_networks(settings, frozen, seed)
    loops = {number: getattr(settings, f"stage{number}").loop for number in STAGES}
    steps = {number: loop.n_steps(n_items) for number, loop in loops.items()}
    history = {}
    for number, loop in loops.items():
        task = CodecTask(number, frozen, networks, settings, seed, steps[number])
        history[number] = fit(task, loop, n_items, seed=seed, name=task.name, checkpoint=run.checkpoint(number))
    save_translator(run.folder, networks.average)
    table = run.write_history(history)
    run.write_state({
        "status": "complete",
        "seed": seed,
        "stages": list(STAGES),
        "epochs": {str(number): loop.epochs for number, loop in loops.items()},
        "steps": {str(number): count for number, count in steps.items()},
    })  # fmt: skip
    return table
