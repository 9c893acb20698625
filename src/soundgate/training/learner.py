"""One optimiser in one process or many: gradients, their norm, and a step where all is finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import Tensor, nn

from soundgate.training.distribution import batch_means
from soundgate.training.finite import require_finite


class _Learning(nn.Module):
    """The parameters that learn, as DistributedDataParallel wants them: a module that is called with what they gave."""

    def __init__(self, optimiser: torch.optim.Optimizer) -> None:
        super().__init__()
        self.learning = nn.ParameterList(own for group in optimiser.param_groups for own in group["params"])

    def forward(self, loss: Tensor) -> Tensor:
        return loss


class Learner:
    """Lets parameters learn; gradients are means over processes, exchanged while they are computed (Accelerate).

    A loss is the mean over this process's share of the batch, or one over the whole batch (`whole_batch`).

    Args:
        optimiser: of all parameters that learn, on their device.
        clip: largest norm of the gradient.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, clip: float = math.inf) -> None:
        self.optimiser, self.clip = optimiser, clip
        learning = _Learning(optimiser)
        # What a step leaves out differs from step to step.
        shared = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
        self._accelerator = Accelerator(
            cpu=learning.learning[0].device.type == "cpu",
            mixed_precision="no",  # Each task says what it computes in bfloat16.
            device_placement=False,
            kwargs_handlers=[shared],
        )
        self._learning = self._accelerator.prepare_model(learning)

    def descend(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """Take a step down a loss.

        Args:
            losses: scalars; ``loss`` is what is minimised. The gradients of before are forgotten.

        Returns:
            The losses as means over processes.

        Raises:
            NonFiniteBatch: ``loss`` or its gradient is not finite; no parameter was changed.
        """
        self.forget()
        self.backward(losses["loss"])
        require_finite({"loss": losses["loss"], "gradient": self.clip_gradients()})
        self.optimiser.step()
        return batch_means(losses)

    def forget(self) -> None:
        """Forget all gradients."""
        self.optimiser.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor, *, more: bool = False) -> None:
        """Add a loss's gradients.

        Args:
            loss: scalar.
            more: losses of other parts of the batch follow, and gradients are exchanged with the last.
        """
        with self._accelerator.no_sync(self._learning) if more else nullcontext():
            self._accelerator.backward(self._learning(loss))

    def has_gradient(self) -> bool:
        """Whether any parameter has a gradient."""
        return any(parameter.grad is not None for parameter in self._learning.parameters())

    def clip_gradients(self) -> Tensor:
        """Shrink the gradient to the largest norm allowed, and return the norm that it had."""
        return self._accelerator.clip_grad_norm_(list(self._learning.parameters()), self.clip)
