"""A batch is refused before it changes a weight where its losses or its gradient's norm are not finite."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class NonFiniteBatch(Exception):
    """A batch whose losses or gradients are not finite, refused before they reached a weight; says which they are.

    Raised by a training's step; `soundgate.training.loop.fit` skips and counts such batches.
    """


def require_finite(values: Mapping[str, Tensor]) -> None:
    """Refuse a batch by what was computed from it.

    Args:
        values: scalars by name: losses, or the norm that ``clip_grad_norm_`` returns.

    Raises:
        NonFiniteBatch: one of them is infinite or not a number; names all that are.
    """
    if not values:
        return
    finite = torch.stack([value.detach().float() for value in values.values()]).isfinite().tolist()
    wrong = [name for name, right in zip(values, finite, strict=True) if not right]
    if wrong:
        raise NonFiniteBatch(f"{', '.join(wrong)} not finite")


def descend(optimiser: torch.optim.Optimizer, loss: Tensor, clip: float = math.inf) -> None:
    """Take an optimiser's step down a loss.

    Args:
        optimiser: of all parameters that learn from it; their gradients of before are forgotten.
        loss: scalar.
        clip: largest norm of the gradient.

    Raises:
        NonFiniteBatch: loss or gradient is not finite; no parameter was changed.
    """
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    require_finite({"loss": loss, "gradient": nn.utils.clip_grad_norm_(parameters, clip)})
    optimiser.step()


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
