"""The predictor: a small network on a flattened window, and a head that turns its outputs into a density."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from soundgate.runtime.errors import WeightsError
from soundgate.tracks.structure.dynamics.families import Prediction
from soundgate.tracks.structure.dynamics.heads import make_head
from soundgate.tracks.structure.dynamics.linear import Linear
from soundgate.training.weights import read_model, save_model


class StepPredictor(nn.Module):
    """p(x[t] - x[t-k] | x[t-k-W+1 .. t-k]): z-scored window, one hidden layer with GELU, the family's head.

    The linear model's prediction goes into the head beside the network's outputs. The output layer begins at zero: an
    untrained predictor says what the linear model says.

    Args:
        family: of `make_head`.
        window: W, frames.
        hidden: width.
        linear: of the same window and horizon.
        magnitude: of train steps; see `DirectionHead`.
    """

    def __init__(
        self, family: str, window: int, hidden: int, linear: Linear, magnitude: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        super().__init__()
        dim = len(linear.std)
        self.config = {"family": family, "window": window, "hidden": hidden, "dim": dim}
        for name in ("scale", "weight", "intercept"):
            self.register_buffer(f"linear_{name}", getattr(linear, name))
        self.head = make_head(family, linear.std, magnitude)
        self.network = nn.Sequential(
            nn.Flatten(), nn.Linear(window * dim, hidden), nn.GELU(), nn.Linear(hidden, self.head.n_outputs)
        )
        for parameter in self.network[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        windows: Tensor,
        network: Callable[[Tensor], Tensor] | None = None,
        expected: Tensor | None = None,
    ) -> Prediction:
        """Return the predictions of windows ``[B, W, D]``.

        Args:
            windows: raw frames.
            network: what runs in the network's place (itself, compiled or in half precision).
            expected: what stands in the linear prediction's place ``[B, D]``.
        """
        outputs = (network or self.network)((windows - self.linear_scale[0]) / self.linear_scale[1])
        return self.head(outputs.float(), self.linear.expected(windows) if expected is None else expected)

    @property
    def linear(self) -> Linear:
        """The linear model within; of its penalties nothing is kept."""
        parts = (self.linear_scale, self.linear_weight, self.linear_intercept, self.head.scale)
        return Linear(*parts, np.full(len(self.head.scale), np.nan), np.nan)


def save_predictor(folder: Path, model: StepPredictor) -> None:
    """Write a predictor."""
    save_model(folder, model, model.config)


def load_predictor(folder: Path) -> StepPredictor:
    """Read what `save_predictor` wrote, frozen.

    Raises:
        WeightsError: a file is missing, damaged, or of another architecture.
    """
    config, tensors = read_model(folder)
    window, dim = config["window"], config["dim"]
    blank = Linear(
        torch.ones(2, dim), torch.zeros(window * dim, dim), torch.zeros(dim), torch.ones(dim), np.ones(dim), 1.0
    )
    model = StepPredictor(config["family"], window, config["hidden"], blank)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(folder, expected=f"weights of {config}", found=str(error).splitlines()[0]) from error
    return model.requires_grad_(False).eval()
