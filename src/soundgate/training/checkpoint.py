"""Checkpoints from which a killed training goes on bit for bit."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import torch

from soundgate.runtime.console import logger
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import atomic_path
from soundgate.training.distribution import is_main
from soundgate.training.task import Task


class Progress:
    """Where a run stands.

    Attributes:
        step: the next one.
        history: the epochs behind it.
        partial: losses of the steps of the epoch it is in; none of a batch that was skipped.
        skipped: batches skipped in a row, up to now.
    """

    def __init__(self) -> None:
        self.step = 0
        self.history: list[dict] = []
        self.partial: list[dict] = []
        self.skipped = 0


def save_checkpoint(task: Task, path: Path, progress: Progress) -> None:
    """Write everything that a run goes on from; of several processes the main one does."""
    if not is_main():
        return
    state = {
        "modules": {name: module.state_dict() for name, module in task.modules.items()},
        "optimisers": {name: optimiser.state_dict() for name, optimiser in task.optimisers.items()},
        "progress": {"step": progress.step, "history": progress.history, "partial": progress.partial},
    }
    if progress.skipped:
        state["progress"]["skipped"] = progress.skipped
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


def resume(task: Task, path: Path) -> Progress:
    """Load a checkpoint into a task where there is one, and return where the run stands.

    Raises:
        FormatError: the checkpoint cannot be read or belongs to something else.
    """
    progress = Progress()
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
