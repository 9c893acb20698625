"""What a training loop, its checkpoints and the health monitor know of what is trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn


class Task(Protocol):
    """What is trained; the loop knows nothing else of it.

    A task may have a method ``probe() -> dict[str, float]`` that tells the health monitor more of it, on a batch that
    is always the same: it is called in evaluation mode and without gradients, and changes nothing. What the rules know
    of: ``speaker_similarity`` (cosine of output and target), ``swap_change`` (how much the output changes with another
    speaker, over its own size), ``pairwise_ratio`` (distance between outputs over that between real items).

    It may have a method ``seen() -> Seen``, what its last step was computed from (`soundgate.training.health.seen`),
    and a method ``losses() -> dict[str, float]``, the losses of the present step's batch computed again, each of which
    a step should lower: it is called right before and right after an optimiser's step, likewise in evaluation mode
    and without gradients.

    Attributes:
        modules: everything with weights or buffers that change, by name.
        optimisers: by name.
    """

    modules: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]

    def step(self, rows: np.ndarray, step: int) -> dict[str, float]:
        """Take one optimisation step on the items ``rows`` (int64 [B] in [0, n_items)) and return its losses.

        PyTorch's global generator was seeded for this step, so every draw from it can be repeated.

        Raises:
            NonFiniteBatch: what is not finite has changed no weight or buffer; see `soundgate.training.finite`.
        """

    def evaluate(self) -> dict[str, float]:
        """Return what an epoch's end is measured by; may be empty."""


class DrawnTask(ABC):
    """A task whose batches do not depend on what it learns, so that loader processes can draw them ahead.

    They draw in a copy of the task from before the first step.
    """

    @abstractmethod
    def draw(self, rows: np.ndarray, step: int) -> Any:
        """Return a step's batch, in memory: from the items and PyTorch's generator, without networks or a GPU.

        Of several processes each reads its own share of the items (`soundgate.training.distribution.own_share`) and
        draws as for all.

        Args:
            rows: int64 [B] in [0, n_items).
            step: from 0.

        Returns:
            What can be pickled.
        """

    @abstractmethod
    def learn(self, batch: Any, step: int) -> dict[str, float]:
        """Take one optimisation step on what `draw` returned; see `Task.step`. Draws go on where those of it ended."""

    def step(self, rows: np.ndarray, step: int) -> dict[str, float]:
        """Draw a batch, with one thread as loader processes do, and learn from it; see `Task.step`."""
        n_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            batch = self.draw(rows, step)
        finally:
            torch.set_num_threads(n_threads)
        return self.learn(batch, step)
