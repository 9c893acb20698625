"""Training of one predictor; the weights that are best on the hold-out are kept."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from soundgate.runtime.arithmetic import logarithm
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.structure.dynamics.families import StepStatistics
from soundgate.tracks.structure.dynamics.heads import log_lengths
from soundgate.tracks.structure.dynamics.linear import SCORED_AT_ONCE, CrossFitted
from soundgate.tracks.structure.dynamics.model import StepPredictor
from soundgate.tracks.structure.dynamics.settings import OptimisationSettings
from soundgate.tracks.structure.dynamics.windows import Frames, Windows
from soundgate.tracks.structure.sequences import HOLDOUT, TRAIN
from soundgate.training.checkpoint import resume
from soundgate.training.distribution import own_share
from soundgate.training.health.settings import HealthSettings
from soundgate.training.learner import Learner
from soundgate.training.loop import fit
from soundgate.training.optimisers import adamw
from soundgate.training.schedule import set_rate, warm_cosine

# Frames whose mean and spread a model starts from.
STATISTICS_FRAMES = 50_000


class Converged(Exception):
    """The hold-out has been no better for as many looks as patience allows."""


class Best(nn.Module):
    """The best weights so far, what they were judged by, and the looks at the hold-out since."""

    def __init__(self, model: StepPredictor) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.register_buffer("nll", torch.tensor(math.inf, dtype=torch.float64))
        self.register_buffer("looks_since", torch.tensor(0))

    def offer(self, model: StepPredictor, nll: float) -> None:
        """Take the weights over if they are better."""
        self.looks_since += 1
        if nll < float(self.nll):
            self.take(model)
            self.nll.fill_(nll)
            self.looks_since.zero_()

    def take(self, model: StepPredictor) -> None:
        """Take the weights over."""
        self.model.load_state_dict(model.state_dict())


class DynamicsTask:
    """Items are the train frames.

    Args:
        windows: gathers contexts; its frames are trained on.
        family: of `make_head`.
        linear: of the same window and horizon; trained on, it is the one that has not seen the frame.
        settings: see `OptimisationSettings`.
        seed: of the weights.
        name: of the training.
        device: to compute on.
    """

    def __init__(
        self,
        windows: Windows,
        family: str,
        linear: CrossFitted,
        settings: OptimisationSettings,
        seed: int,
        name: str,
        device: torch.device,
    ) -> None:
        self.windows, self.settings, self.device = windows, settings, device
        self.linear = linear.to(device)
        self.noise = keyed_seed(seed, name, "noise")
        frames = windows.frames
        self.rows = frames.some(TRAIN, None, seed, name)
        self.held = (
            frames.some(HOLDOUT, settings.max_eval_samples, seed, name) if len(frames.targets(HOLDOUT)) else None
        )
        torch.manual_seed(keyed_seed(seed, name, "weights"))
        some = self.rows if self.held is None else self.held
        magnitude = log_magnitude(linear.model, windows, some[:STATISTICS_FRAMES])
        self.model = StepPredictor(family, windows.window, settings.hidden, linear.model, magnitude).to(device)
        self.best = Best(self.model)
        self.modules = {"model": self.model, "best": self.best}
        optimiser = adamw(self.model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        self.optimisers = {"adamw": optimiser}
        self.learner = Learner(optimiser, settings.clip)
        network = self.model.network
        self.fast = torch.compile(network, mode=settings.compile_mode) if settings.compile else network
        self.evaluate()

    def step(self, items: np.ndarray, step: int) -> dict[str, float]:
        """Train on some frames.

        Raises:
            Converged: the training is over.
        """
        settings = self.settings
        if int(self.best.looks_since) >= settings.patience:
            raise Converged
        rows = self.rows[items[own_share(len(items))]]
        windows, steps = self._given(rows)
        expected = self.linear.expected(rows, windows)
        nll = self.model(windows, self._run, expected).nll(steps).mean() / self.dim
        share = warm_cosine(step, settings.max_steps, warm_up=settings.warm_up, final=settings.final_rate)
        set_rate(self.optimisers["adamw"], settings.learning_rate * share)
        return {"nll": self.learner.descend({"loss": nll})["loss"]}

    def evaluate(self) -> dict[str, float]:
        """Return the hold-out's negative log-likelihood in nats a dimension, and keep the weights if they are best.

        Its contexts have noise where those of the training have, the same at every look. Without a hold-out the last
        weights are kept.
        """
        if self.held is None:
            self.best.take(self.model)
            return {}
        generator, nll = torch.Generator(self.device).manual_seed(self.noise), 0.0
        with torch.no_grad():
            for part in np.array_split(self.held, -(-len(self.held) // SCORED_AT_ONCE)):
                windows, steps = self._given(part, generator)
                nll += float(self.model(windows).nll(steps).sum())
        nll /= len(self.held) * self.dim
        self.best.offer(self.model, nll)
        return {"holdout_nll": nll}

    def _given(self, rows: np.ndarray, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return contexts and steps; noise counts in the step too: from where it puts x[t-k] to the true x[t]."""
        windows, steps = (part.to(self.device) for part in (self.windows(rows), self.windows.steps(rows)))
        if not self.settings.context_noise:
            return windows, steps
        draws = torch.randn(windows.shape, generator=generator, device=self.device)
        noise = self.settings.context_noise * self.model.linear_scale[1] * draws
        return windows + noise, steps - noise[:, -1]

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


def step_statistics(frames: Frames, rows: np.ndarray, horizon: int = 1) -> StepStatistics:
    """Return what some steps look like."""
    return StepStatistics.of(frames.steps(rows, horizon))


@torch.no_grad()
def log_magnitude(linear: CrossFitted, windows: Windows, rows: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of some steps' log magnitudes about those the linear model lets expect."""
    found = []
    for part in np.array_split(rows, -(-len(rows) // SCORED_AT_ONCE)):
        steps, expected = ((values / linear.std).double() for values in
                           (windows.steps(part), linear.expected(windows(part))))  # fmt: skip
        found.append(logarithm(steps.norm(dim=1)) - log_lengths(expected))
    log = torch.cat(found)
    return float(log.mean()), max(float(log.std(unbiased=False)), 1e-3)


@dataclass(frozen=True)
class Trained:
    """A training's end.

    Attributes:
        model: the predictor that was best on the hold-out, frozen.
        untrained: the one it began as.
        history: one row for each look at the hold-out.
        converged: whether patience ended it; else ``max_steps`` did.
    """

    model: StepPredictor
    untrained: StepPredictor
    history: list[dict]
    converged: bool


def train_predictor(
    windows: Windows,
    family: str,
    linear: CrossFitted,
    settings: OptimisationSettings,
    seed: int,
    name: str,
    device: torch.device,
    checkpoint: Path,
    health: HealthSettings | None = None,
) -> Trained:
    """Train until the hold-out gets no better, going on from the checkpoint where there is one."""
    task, loop = DynamicsTask(windows, family, linear, settings, seed, name, device), settings.loop
    untrained = copy.deepcopy(task.model)
    try:
        history = fit(task, loop, len(task.rows), seed=seed, name=name, checkpoint=checkpoint, health=health)
    except Converged:
        history = resume(task, checkpoint, settings.max_steps).history
    over = int(task.best.looks_since) >= settings.patience
    frozen = [model.requires_grad_(False).eval() for model in (task.best.model, untrained)]
    return Trained(*frozen, history, over)
