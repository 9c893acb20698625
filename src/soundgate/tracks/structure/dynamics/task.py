"""Training of one predictor; the weights that are best on the hold-out are kept."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.structure.dynamics.families import StepStatistics
from soundgate.tracks.structure.dynamics.model import StepPredictor
from soundgate.tracks.structure.dynamics.settings import OptimisationSettings
from soundgate.tracks.structure.dynamics.windows import Frames, Windows
from soundgate.tracks.structure.sequences import HOLDOUT, TRAIN
from soundgate.training.distribution import own_share
from soundgate.training.health.settings import HealthSettings
from soundgate.training.learner import Learner
from soundgate.training.loop import fit
from soundgate.training.optimisers import adamw
from soundgate.training.schedule import set_rate, warm_cosine

# Frames whose mean and spread a network starts from, and frames scored at once.
STATISTICS_FRAMES, SCORED_AT_ONCE = 50_000, 2048


class Best(nn.Module):
    """The best weights so far and what they were judged by."""

    def __init__(self, model: StepPredictor) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.register_buffer("nll", torch.tensor(math.inf, dtype=torch.float64))

    def offer(self, model: StepPredictor, nll: float) -> None:
        """Take the weights over if they are better."""
        if nll < float(self.nll):
            self.take(model)
            self.nll.fill_(nll)

    def take(self, model: StepPredictor) -> None:
        """Take the weights over."""
        self.model.load_state_dict(model.state_dict())


class DynamicsTask:
    """Items are the train frames.

    Args:
        windows: gathers contexts; its frames are trained on.
        family: of `make_head`.
        settings: see `OptimisationSettings`.
        seed: of the weights.
        name: of the training.
        device: to compute on.
    """

    def __init__(
        self,
        windows: Windows,
        family: str,
        settings: OptimisationSettings,
        seed: int,
        name: str,
        device: torch.device,
    ) -> None:
        self.windows, self.settings, self.device = windows, settings, device
        frames = windows.frames
        self.rows = frames.some(TRAIN, None, seed, name)
        self.held = (
            frames.some(HOLDOUT, settings.max_eval_samples, seed, name) if len(frames.targets(HOLDOUT)) else None
        )
        torch.manual_seed(keyed_seed(seed, name, "weights"))
        some = frames.some(TRAIN, STATISTICS_FRAMES, seed, f"{name} statistics")
        model = StepPredictor(
            family, windows.window, settings.hidden, frame_scale(frames, some), step_statistics(frames, some)
        )
        self.model = model.to(device)
        self.best = Best(self.model)
        self.modules = {"model": self.model, "best": self.best}
        optimiser = adamw(self.model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        self.optimisers = {"adamw": optimiser}
        self.learner = Learner(optimiser, settings.clip)
        network = self.model.network
        self.fast = torch.compile(network, mode=settings.compile_mode) if settings.compile else network
        self.evaluate()

    def step(self, items: np.ndarray, step: int) -> dict[str, float]:
        """Train on some frames."""
        settings = self.settings
        rows = self.rows[items[own_share(len(items))]]
        predicted = self.model(self.windows(rows).to(self.device), self._run)
        nll = predicted.nll(self.windows.frames.steps(rows).to(self.device)).mean() / self.dim
        share = warm_cosine(step, settings.max_steps, warm_up=settings.warm_up, final=settings.final_rate)
        set_rate(self.optimisers["adamw"], settings.learning_rate * share)
        return {"nll": self.learner.descend({"loss": nll})["loss"]}

    def evaluate(self) -> dict[str, float]:
        """Return the hold-out's negative log-likelihood in nats a dimension, and keep the weights if they are best.

        Without a hold-out the last weights are kept.
        """
        if self.held is None:
            self.best.take(self.model)
            return {}
        nll = float(score_nll(self.model, self.windows, self.held, self.device).mean()) / self.dim
        self.best.offer(self.model, nll)
        return {"holdout_nll": nll}

    @property
    def dim(self) -> int:
        """D."""
        return self.windows.frames.x.shape[1]

    def _run(self, flat: Tensor) -> Tensor:
        with torch.autocast(self.device.type, getattr(torch, self.settings.amp_dtype), enabled=self.settings.amp):
            return self.fast(flat)


def frame_scale(frames: Frames, rows: np.ndarray) -> Tensor:
    """Return mean and standard deviation of some frames, float32 ``[2, D]``."""
    x = frames.x[rows].astype(np.float64)
    std = x.std(0)
    return torch.from_numpy(np.stack([x.mean(0), np.maximum(std, 1e-6 * std.max())])).float()


def step_statistics(frames: Frames, rows: np.ndarray) -> StepStatistics:
    """Return what some steps look like."""
    return StepStatistics.of(frames.steps(rows))


@torch.no_grad()
def score_nll(model: nn.Module, windows: Windows, rows: np.ndarray, device: torch.device) -> np.ndarray:
    """Return the negative log-likelihood of the steps to some frames, in nats, float64 ``[B]``."""
    parts = np.array_split(rows, max(1, math.ceil(len(rows) / SCORED_AT_ONCE)))
    scored = [model(windows(part).to(device)).nll(windows.frames.steps(part).to(device)) for part in parts]
    return torch.cat(scored).cpu().numpy()


def train_predictor(
    windows: Windows,
    family: str,
    settings: OptimisationSettings,
    seed: int,
    name: str,
    device: torch.device,
    checkpoint: Path,
    health: HealthSettings | None = None,
) -> tuple[StepPredictor, list[dict]]:
    """Train, going on from the checkpoint where there is one.

    Returns:
        The predictor that was best on the hold-out, frozen, and one row for each look at it.
    """
    task = DynamicsTask(windows, family, settings, seed, name, device)
    history = fit(task, settings.loop, len(task.rows), seed=seed, name=name, checkpoint=checkpoint, health=health)
    return task.best.model.requires_grad_(False).eval(), history
