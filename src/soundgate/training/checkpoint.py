"""Checkpoints from which a killed training goes on bit for bit."""

from __future__ import annotations

import pickle
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from soundgate.runtime.console import logger
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import atomic_path, sha256_of
from soundgate.runtime.processes import is_main
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


def resume(task: Task, path: Path, n_steps: int) -> Progress:
    """Load a checkpoint into a task where there is one, and return where the run stands.

    Args:
        task: as it is made.
        path: of the checkpoint; one that is further than the training goes is left aside, and the run begins.
        n_steps: of the training.

    Raises:
        FormatError: the checkpoint cannot be read or belongs to something else.
    """
    progress = Progress()
    if not path.is_file():
        return progress
    with _explained(path, "a checkpoint of this run", "Remove it to start this stage of training anew."):
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["progress"]["step"] > n_steps:
            logger.info("%s is of a longer training; this one begins anew", path)
            return progress
        for name, module in task.modules.items():
            module.load_state_dict(state["modules"][name])
        for name, optimiser in task.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
    vars(progress).update(state["progress"])
    logger.info("Going on from %s, step %d", path, progress.step)
    return progress


def keep_checkpoint(path: Path, result: Path) -> None:
    """Copy a checkpoint into a result: with all modules and optimisers in it, another training can begin from it.

    Args:
        path: of the checkpoint; there is none where nothing was trained.
        result: a folder.
    """
    if path.is_file():
        with atomic_path(result / path.name) as temporary:
            shutil.copyfile(path, temporary)


def begin_from(task: Task, path: str | Path) -> None:
    """Give a task the weights of another training: of the modules that both have by name.

    Raises:
        FormatError: it cannot be read, has no such module, or one of another shape.
    """
    with _explained(path, "a checkpoint of such a training", "Name another file as init_from."):
        modules = torch.load(path, map_location="cpu", weights_only=True)["modules"]
        both = task.modules.keys() & modules.keys()
        if not both:
            raise ValueError(f"modules {', '.join(modules)}; wanted: {', '.join(task.modules)}")
        for name in both:
            task.modules[name].load_state_dict(modules[name])
    logger.info("Beginning with %s of %s", ", ".join(sorted(both)), path)


def hash_of_checkpoint(path: str | Path) -> str:
    """Return the hash of a checkpoint's bytes.

    Raises:
        FormatError: there is none.
    """
    with _explained(path, "a checkpoint of another training", "Name another file as init_from."):
        return sha256_of(path)


@contextmanager
def _explained(path: str | Path, expected: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError, EOFError) as error:
        found = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(path, expected=expected, found=found, remedy=remedy) from error
