"""The predictor: a small network on a flattened window, and a head that turns its outputs into a density."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from soundgate.runtime.errors import WeightsError
from soundgate.tracks.structure.dynamics.families import Prediction, StepStatistics, make_head
from soundgate.training.weights import read_model, save_model


class StepPredictor(nn.Module):
    """p(x[t] - x[t-1] | x[t-k-W+1 .. t-k]): z-scored window, one hidden layer with GELU, the family's head.

    The output layer begins at zero: an untrained predictor says of every step what the train steps say together.

    Args:
        family: of `make_head`.
        window: W, frames.
        hidden: width.
        frames: mean and standard deviation of the train frames ``[2, D]``.
        steps: what train steps look like.
    """

    def __init__(self, family: str, window: int, hidden: int, frames: Tensor, steps: StepStatistics) -> None:
        super().__init__()
        self.config = {"family": family, "window": window, "hidden": hidden, "dim": frames.shape[1]}
        self.register_buffer("frames", frames)
        self.head = make_head(family, steps)
        self.network = nn.Sequential(
            nn.Flatten(),
            nn.Linear(window * frames.shape[1], hidden),
            nn.GELU(),
            nn.Linear(hidden, self.head.n_outputs),
        )
        for parameter in self.network[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, windows: Tensor, network: Callable[[Tensor], Tensor] | None = None) -> Prediction:
        """Return the predictions of windows ``[B, W, D]``.

        Args:
            windows: raw frames.
            network: what runs in the network's place (itself, compiled or in half precision).
        """
        outputs = (network or self.network)((windows - self.frames[0]) / self.frames[1])
        return self.head(outputs.float())


def save_predictor(folder: Path, model: StepPredictor) -> None:
    """Write a predictor."""
    save_model(folder, model, model.config)


def load_predictor(folder: Path) -> StepPredictor:
    """Read what `save_predictor` wrote, frozen.

    Raises:
        WeightsError: a file is missing, damaged, or of another architecture.
    """
    config, tensors = read_model(folder)
    blank = torch.ones(config["dim"])
    steps = StepStatistics(blank, blank, blank, 0.0, 1.0)
    model = StepPredictor(config["family"], config["window"], config["hidden"], torch.stack([blank, blank]), steps)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(folder, expected=f"weights of {config}", found=str(error).splitlines()[0]) from error
    return model.requires_grad_(False).eval()
