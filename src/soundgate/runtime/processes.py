"""One stage in several processes that train together: who is who, and whose outputs count."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from soundgate.runtime.console import logger
from soundgate.runtime.scratch import SCRATCH

Value = TypeVar("Value")


@contextmanager
def processes() -> Iterator[None]:
    """Join the processes that ``torchrun`` or ``accelerate launch`` started, if any did; alone, do nothing.

    On GPUs every process takes the one of its local rank. The main process alone tells how the work goes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    # Two seconds, spared those who are alone.
    import torch
    from accelerate import PartialState
    from accelerate.state import AcceleratorState

    on_gpu = torch.cuda.is_available() and os.environ.get("SOUNDGATE_DEVICE", "cuda").startswith("cuda")
    state, level = PartialState(cpu=not on_gpu), logger.level
    if not is_main():
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
        state.destroy_process_group()
        AcceleratorState._reset_state(reset_partial_state=True)


def n_processes() -> int:
    """Return how many processes train together."""
    from torch import distributed

    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return which of them this is, from 0."""
    from torch import distributed

    return distributed.get_rank() if distributed.is_initialized() else 0


def is_main() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def from_main(value: Value) -> Value:
    """Return the main process's value in every process; it must be picklable."""
    if n_processes() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]


@contextmanager
def main_outputs(outputs: Mapping[str, Path]) -> Iterator[Mapping[str, Path]]:
    """Yield where this process writes its outputs and work: where it is told, or nowhere that lasts if it is not main.

    So a stage needs not know that it runs in several processes: all compute the same, and what the main one wrote
    stays. Inside, processes that are not main have a work folder of their own; a training goes on in all of them from
    the main one's checkpoint, see `soundgate.training.loop.fit`.

    Args:
        outputs: paths by option.
    """
    if is_main():
        yield outputs
        return
    before = os.environ.get(SCRATCH)
    with TemporaryDirectory(prefix="soundgate-") as folder:
        os.environ[SCRATCH] = str(Path(folder, "scratch"))
        try:
            yield {
                name: Path(folder, "out", path.absolute().relative_to(path.absolute().anchor))
                for name, path in outputs.items()
            }
        finally:
            os.environ.pop(SCRATCH)
            if before is not None:
                os.environ[SCRATCH] = before
