"""A batch is refused before it changes a weight where its losses or its gradient's norm are not finite."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class NonFiniteBatch(Exception):
    """A batch whose losses or gradients are not finite, refused before it changed any weight; says which they are.

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
