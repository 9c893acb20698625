"""One training in several processes: who is who, what they share, gradients added up over them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, distributed

Value = TypeVar("Value")


@contextmanager
def processes() -> Iterator[None]:
    """Join the processes that ``torchrun`` or ``accelerate launch`` started, if any did; alone, do nothing.

    On GPUs every process takes the one of its local rank.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    on_gpu = torch.cuda.is_available() and os.environ.get("SOUNDGATE_DEVICE", "cuda").startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def n_processes() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def is_main() -> bool:
    """Whether this process is the one that writes."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def own_share(n_items: int) -> slice:
    """Return which items of a batch are this process's: as many for each.

    Args:
        n_items: of the whole batch, a multiple of `n_processes`.
    """
    size = n_items // n_processes()
    assert size * n_processes() == n_items, (n_items, n_processes())
    first = size * (distributed.get_rank() if distributed.is_initialized() else 0)
    return slice(first, first + size)


def from_main(value: Value) -> Value:
    """Return the main process's value in every process; it must be picklable."""
    if not distributed.is_initialized():
        return value
    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


def add_gradients(parameters: Iterable[Tensor]) -> None:
    """Make every gradient the sum over processes; a parameter without a gradient has none in any process."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients or not distributed.is_initialized():
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def totals(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Return each scalar's sum over processes; every process must have the same names."""
    if not values:
        return {}
    stacked = torch.stack([value.detach().float() for value in values.values()])
    if distributed.is_initialized():
        distributed.all_reduce(stacked)
    return dict(zip(values, stacked.tolist(), strict=True))
