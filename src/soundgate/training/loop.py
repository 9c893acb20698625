"""The training loop: epochs of keyed batches, a checkpoint from which a killed run goes on bit for bit."""

from __future__ import annotations

import math
import pickle
import sys
import time
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import nn

from soundgate.config import Section
from soundgate.console import logger, track
from soundgate.errors import FormatError, TrainingError
from soundgate.files import atomic_path
from soundgate.randomness import keyed_generator, keyed_seed
from soundgate.training.tensorboard import Curves, curves_folder


class LoopSettings(Section):
    """How long to train.

    Args:
        epochs: passes; 0 trains nothing.
        batch_size: items a step.
        steps_per_epoch: steps that count as a pass; None: as many whole batches as there are.
        checkpoint_s: seconds between checkpoints inside an epoch.
    """

    epochs: int = Field(ge=0)
    batch_size: int = Field(ge=1)
    steps_per_epoch: int | None = Field(default=None, ge=1)
    checkpoint_s: float = Field(default=60.0, gt=0)

    def per_epoch(self, n_items: int) -> int:
        """Return the steps of a pass over so many items."""
        return self.steps_per_epoch or max(1, n_items // self.batch_size)

    def n_steps(self, n_items: int) -> int:
        """Return the steps of the whole training."""
        return self.epochs * self.per_epoch(n_items)


class Task(Protocol):
    """What is trained; the loop knows nothing else of it.

    Attributes:
        modules: everything with weights or buffers that change, by name.
        optimisers: by name.
    """

    modules: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]

    def step(self, rows: np.ndarray, step: int) -> dict[str, float]:
        """Take one optimisation step on the items ``rows`` (int64 [B] in [0, n_items)) and return its losses.

        PyTorch's global generator was seeded for this step, so every draw from it can be repeated.
        """

    def evaluate(self) -> dict[str, float]:
        """Return what an epoch's end is measured by; may be empty."""


class _Progress:
    """Where a run stands: the next step, the epochs behind it, the steps of the one it is in."""

    def __init__(self) -> None:
        self.step = 0
        self.history: list[dict] = []
        self.partial: list[dict] = []


def fit(
    task: Task, settings: LoopSettings, n_items: int, *, seed: int, name: str, checkpoint: str | Path
) -> list[dict]:
    """Train, going on from ``checkpoint`` where there is one.

    Batches are keyed by (seed, name, epoch) and PyTorch's generator by (seed, name, step), so a run that was
    killed and one that was not compute the same numbers. Epochs are logged for TensorBoard, see `Curves`.

    Args:
        task: models, optimisers and the step.
        settings: see `LoopSettings`.
        n_items: how many items there are to draw from.
        seed: of the experiment.
        name: of this run, distinct within the experiment.
        checkpoint: the file to go on from and to write.

    Returns:
        One row for each epoch: ``epoch``, ``step``, the means of the steps' losses, the epoch's evaluation.

    Raises:
        TrainingError: nothing to train on, or a loss that is not finite.
        FormatError: a checkpoint that cannot be read or belongs to something else.
    """
    if n_items < 1:
        raise TrainingError(name, expected="items to train on", found="none")
    checkpoint = Path(checkpoint)
    progress = _resume(task, checkpoint)
    curves = Curves(curves_folder(checkpoint, name), progress.history)
    per_epoch = settings.per_epoch(n_items)
    saved = time.monotonic()
    for epoch in range(progress.step // per_epoch, settings.epochs):
        batches = _batches(n_items, settings.batch_size, per_epoch, keyed_generator(seed, name, f"epoch {epoch}"))
        done = progress.step - epoch * per_epoch
        for rows in track(batches[done:], f"{name}, epoch {epoch + 1} of {settings.epochs}"):
            torch.manual_seed(keyed_seed(seed, name, f"step {progress.step}"))
            losses = task.step(rows, progress.step)
            _refuse_non_finite(name, progress.step, losses)
            progress.step += 1
            progress.partial.append(losses)
            if time.monotonic() - saved > settings.checkpoint_s and progress.step % per_epoch:
                _save(task, checkpoint, progress)
                saved = time.monotonic()
        row = {"epoch": epoch + 1, "step": progress.step} | _means(progress.partial) | task.evaluate()
        progress.history.append(row)
        progress.partial = []
        _save(task, checkpoint, progress)
        curves.add(row)
        saved = time.monotonic()
        logger.info("%s: %s", name, ", ".join(f"{key} {value:.4g}" for key, value in row.items()))
    return progress.history


def _batches(n_items: int, batch_size: int, n_batches: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Deal permutations one after another into batches of different items as far as there are enough."""
    size = min(batch_size, n_items)
    rounds = -(-n_batches // max(1, n_items // size))
    whole = n_items // size * size
    order = [generator.permutation(n_items)[:whole].reshape(-1, size) for _ in range(rounds)]
    return list(np.concatenate(order)[:n_batches])


def _means(rows: list[dict]) -> dict[str, float]:
    """Return each loss's mean over the steps that had it (a critic may be skipped)."""
    return {key: float(value) for key, value in pd.DataFrame(rows).mean().items()}


def _refuse_non_finite(name: str, step: int, losses: dict[str, float]) -> None:
    wrong = [key for key, value in losses.items() if not math.isfinite(value)]
    if wrong:
        raise TrainingError(
            f"{name}, step {step}",
            expected="finite losses",
            found=f"{', '.join(wrong)} not finite",
            remedy="The last checkpoint is kept; a lower learning rate or gradient clipping may help.",
        )


def _save(task: Task, path: Path, progress: _Progress) -> None:
    state = {
        "modules": {name: module.state_dict() for name, module in task.modules.items()},
        "optimisers": {name: optimiser.state_dict() for name, optimiser in task.optimisers.items()},
        "progress": {"step": progress.step, "history": progress.history, "partial": progress.partial},
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(
            _interned(state), file
        )  # Through a file: by a path, torch would write the temporary name into the bytes.


def _interned(value: object) -> object:
    """Return the value with equal texts as one object: pickle writes an object it has met as a reference to it.

    Texts that came out of a checkpoint are other objects than the code's own, and the bytes would tell.
    """
    if isinstance(value, dict):
        return {_interned(key): _interned(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_interned(part) for part in value]
    return sys.intern(value) if type(value) is str else value


def _resume(task: Task, path: Path) -> _Progress:
    progress = _Progress()
    if not path.is_file():
        return progress
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name, module in task.modules.items():
            module.load_state_dict(state["modules"][name])
        for name, optimiser in task.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
    except (OSError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError, EOFError) as error:
        raise FormatError(
            path,
            expected="a checkpoint of this run",
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            remedy="Remove it to start this stage of training anew.",
        ) from error
    vars(progress).update(state["progress"])
    logger.info("Going on from %s, step %d", path, progress.step)
    return progress
