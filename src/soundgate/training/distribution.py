"""A batch that several processes share: whose items are whose, and what the whole batch is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from accelerate.utils import gather, reduce
from torch import Tensor

from soundgate.runtime.errors import TrainingError
from soundgate.runtime.processes import n_processes, rank
from soundgate.training.adversarial import reverse_gradient


def own_share(n_items: int) -> slice:
    """Return which items of a batch are this process's: as many for each.

    Args:
        n_items: of the whole batch.

    Raises:
        TrainingError: they cannot be shared evenly.
    """
    size, rest = divmod(n_items, n_processes())
    if rest:
        raise TrainingError(
            "batch",
            expected=f"a number of items that {n_processes()} processes can share evenly",
            found=str(n_items),
            remedy="Set loop.batch_size to a multiple of the number of processes.",
        )
    return slice(size * rank(), size * (rank() + 1))


def whole_batch(own: Tensor) -> Tensor:
    """Return what all processes have of a batch, [B, ...], from this one's share of it, [B / n, ...], in their order.

    A loss over the whole batch (a contrast, a batch's mean) is computed so in every process. Gradients reach the own
    share alone, multiplied by the number of processes, since `soundgate.training.learner.Learner` takes their mean:
    together they are those of the whole batch.
    """
    if n_processes() == 1:
        return own
    batch = gather(own.detach().contiguous()).clone()
    batch[own_share(len(batch))] = reverse_gradient(own, -n_processes())
    return batch


def batch_total(own: Tensor) -> Tensor:
    """Return the sum over processes of a number or of an array, without gradients: a batch's count, for example."""
    return own.detach() if n_processes() == 1 else reduce(own.detach().clone(), "sum")


def batch_means(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Return each scalar's mean over processes; every process must have the same names."""
    if not values:
        return {}
    stacked = torch.stack([value.detach().float() for value in values.values()])
    return dict(zip(values, (batch_total(stacked) / n_processes()).tolist(), strict=True))
