"""A batch is refused before it changes a weight where its losses or its gradient's norm are not finite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from soundgate.training.distribution import batch_total


class NonFiniteBatch(Exception):
    """A batch whose losses or gradients are not finite, refused before they reached a weight; says which they are.

    Raised by a training's step; `soundgate.training.loop.fit` skips and counts such batches.
    """


def require_finite(values: Mapping[str, Tensor]) -> None:
    """Refuse a batch by what was computed from it, in any process.

    Args:
        values: scalars by name: losses, or the norm of the gradient; every process must have the same names.

    Raises:
        NonFiniteBatch: one of them is infinite or not a number; names all that are.
    """
    if not values:
        return
    wrong = batch_total((~torch.stack([value.detach().float() for value in values.values()]).isfinite()).float())
    names = [name for name, count in zip(values, wrong.tolist(), strict=True) if count]
    if names:
        raise NonFiniteBatch(f"{', '.join(names)} not finite")


@contextmanager
def buffers_kept(module: nn.Module) -> Iterator[None]:
    """Where a batch is refused, give a module's buffers, such as batch norm's means, the values of before."""
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    try:
        yield
    except NonFiniteBatch:
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                buffer.copy_(before[name])
        raise
