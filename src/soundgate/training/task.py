"""What a training loop, its checkpoints and the health monitor know of what is trained."""

from __future__ import annotations

from typing import Protocol

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
