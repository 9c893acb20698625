"""The batches of a training in the order of its steps, drawn by loader processes where there are any."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from multiprocessing.pool import RemoteTraceback
from typing import NamedTuple

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from soundgate.runtime.errors import TrainingError
from soundgate.runtime.randomness import keyed_generator, keyed_seed
from soundgate.training.task import DrawnTask, Task

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux.


class Drawn(NamedTuple):
    """What a loader process made of a step's items.

    Args:
        batch: from `DrawnTask.draw`.
        generator: state of PyTorch's generator afterwards.
    """

    batch: object
    generator: Tensor


class Loaded(NamedTuple):
    """What a step takes.

    Args:
        rows: int64 [B] in [0, n_items).
        drawn: their batch; None: the step draws it by itself.
    """

    rows: np.ndarray
    drawn: Drawn | None


class Order(NamedTuple):
    """Which items each step of a training takes, and where its draws begin.

    Args:
        seed: of the experiment.
        name: of the training.
        n_items: how many there are.
        batch_size: items a step.
        per_epoch: steps a pass.
    """

    seed: int
    name: str
    n_items: int
    batch_size: int
    per_epoch: int

    def rows(self, step: int) -> np.ndarray:
        """Return the items of a step, int64 [B]."""
        epoch, number = divmod(step, self.per_epoch)
        return _dealt(self, epoch)[number]

    def begin(self, step: int, drawn: Drawn | None = None) -> None:
        """Seed PyTorch's generators for a step, or let them go on behind what was drawn for it."""
        torch.manual_seed(keyed_seed(self.seed, self.name, f"step {step}"))
        if drawn is not None:
            torch.set_rng_state(drawn.generator)


@lru_cache(maxsize=1)
def _dealt(order: Order, epoch: int) -> np.ndarray:
    """Deal permutations one after another into batches of different items as far as there are enough."""
    generator = keyed_generator(order.seed, order.name, f"epoch {epoch}")
    size = min(order.batch_size, order.n_items)
    a_round = order.n_items // size
    rounds = -(-order.per_epoch // a_round)
    dealt = [generator.permutation(order.n_items)[: a_round * size].reshape(-1, size) for _ in range(rounds)]
    return np.concatenate(dealt)[: order.per_epoch]


class _Failure(NamedTuple):
    """An exception of a loader process, and where it happened."""

    error: Exception
    where: str


class _Batches(Dataset):
    """By their step: the items alone or, of a task that draws, their batch."""

    def __init__(self, order: Order, draw: Callable[[np.ndarray, int], object] | None) -> None:
        self.order, self.draw = order, draw

    def __getitem__(self, step: int) -> Loaded | _Failure:
        rows = self.order.rows(step)
        if self.draw is None:
            return Loaded(rows, None)
        self.order.begin(step)
        try:
            return Loaded(rows, Drawn(self.draw(rows, step), torch.get_rng_state()))
        except Exception as error:  # Whatever it is, the training ends by the same.
            return _Failure(_portable(error), traceback.format_exc())


@contextmanager
def loading(task: Task, order: Order, steps: range, workers: int) -> Iterator[Iterator[Loaded]]:
    """Yield what each step takes, in order; loader processes live as long as the context.

    A batch is computed from its step alone, so it is the same from any number of processes. They are forked: they see
    the task as it was, and memory maps, and nothing of it is copied or pickled.

    Args:
        task: what is trained.
        order: see `Order`.
        steps: to take.
        workers: loader processes; each uses one thread, and dies with this process.

    Raises:
        TrainingError: the task draws no batches apart from its step, or a loader process was killed.
        Exception: as drawing raised it in a loader process.
    """
    if workers and not isinstance(task, DrawnTask):
        raise TrainingError(
            order.name,
            expected="loop.workers of 0, since this training draws its batches as it learns",
            found=str(workers),
        )
    loader = DataLoader(
        _Batches(order, task.draw if workers else None),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=workers > 0 and _on_gpu(task),
        multiprocessing_context="fork" if workers else None,
        worker_init_fn=partial(_begin_worker, os.getpid()),
        generator=torch.Generator(),
    )
    batches = _in_turn(loader, order.name)
    try:
        yield batches
    except RuntimeError as error:  # PyTorch says so whenever it hears of it, in the midst of a step too.
        if not str(error).startswith("DataLoader worker"):
            raise
        raise _lost(order.name, error) from error
    finally:
        batches.close()  # Ends the loader processes.


def _in_turn(loader: DataLoader, name: str) -> Generator[Loaded, None, None]:
    batches = iter(loader)
    try:
        while True:
            try:
                loaded = next(batches)
            except StopIteration:
                return
            except (RuntimeError, OSError, EOFError) as error:
                raise _lost(name, error) from error
            if isinstance(loaded, _Failure):
                raise loaded.error from RemoteTraceback(loaded.where)
            yield loaded
    finally:
        # By itself this happens when nobody knows of them any more; an error's traceback does.
        if loader.num_workers:
            batches._shutdown_workers()


def _portable(error: Exception) -> Exception:
    """Return an error that reaches another process: not every one can be pickled."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _lost(name: str, error: Exception) -> TrainingError:
    return TrainingError(
        name,
        expected="loader processes that live as long as the training",
        found=str(error).splitlines()[0] if str(error) else type(error).__name__,
        remedy="Lower loop.workers, or give the machine more memory, /dev/shm too. The last checkpoint is kept.",
    )


def _begin_worker(parent: int, _number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    threadpool_limits(1)


def _as_it_is(loaded: object) -> object:
    return loaded


def _on_gpu(task: Task) -> bool:
    return any(parameter.is_cuda for module in task.modules.values() for parameter in module.parameters())
