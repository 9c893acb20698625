"""Trains the stages of a run one after the other, and keeps the run's records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from soundgate.runtime.errors import CorpusError
from soundgate.tracks.transfer.adversarial_task import AdversarialTask
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.run_folder import RunFolder
from soundgate.training.health.settings import HealthSettings
from soundgate.training.loop import LoopSettings, fit


class Stage(NamedTuple):
    """A stage of a run.

    Args:
        task: makes the stage's task for so many steps; called when the stages before it are trained.
        loop: how long.
    """

    task: Callable[[int], AdversarialTask]
    loop: LoopSettings


def count_items(stage: str, cache: ChunkCache, genres: Sequence[str]) -> int:
    """Return how many chunks there are to train on.

    Raises:
        CorpusError: none, or fewer than two genres.
    """
    n_items = len(cache.rows("train"))
    if len(genres) < 2 or not n_items:
        found = f"{n_items} chunks, genres {', '.join(genres) or 'none'}"
        raise CorpusError(stage, expected="chunks to train on, of at least two genres", found=found)
    return n_items


def train_run(
    run: RunFolder,
    stages: Mapping[int, Stage],
    n_items: int,
    seed: int,
    save_model: Callable[[], None],
    health: HealthSettings | None = None,
) -> pd.DataFrame:
    """Train all stages, going on from the run's checkpoints where there are any, and write the run.

    Args:
        run: gets checkpoints, history and, last, the state.
        stages: by number, in order.
        n_items: to train on.
        seed: of every draw.
        save_model: writes the model, once all stages are trained.
        health: how the training is watched; it changes nothing.

    Returns:
        The history: one row an epoch.
    """
    history = {}
    for number, (build, loop) in stages.items():
        task = build(loop.n_steps(n_items))
        history[number] = fit(
            task, loop, n_items, seed=seed, name=task.name, checkpoint=run.checkpoint(number), health=health
        )
    save_model()
    table = run.write_history(history)
    run.write_state({
        "status": "complete",
        "seed": seed,
        "stages": list(stages),
        "epochs": {str(number): stage.loop.epochs for number, stage in stages.items()},
        "steps": {str(number): stage.loop.epochs * stage.loop.per_epoch(n_items) for number, stage in stages.items()},
    })  # fmt: skip
    return table
