"""What a model must beat: distributions that know no context, holding still, and a linear model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from torch import Tensor

from soundgate.runtime.arithmetic import logarithm, square_root
from soundgate.tracks.structure.dynamics.families import KAPPA, GaussianMixture, StepStatistics, VmfLogNormal
from soundgate.tracks.structure.dynamics.task import SCORED_AT_ONCE, frame_scale
from soundgate.tracks.structure.dynamics.windows import Frames, Windows
from soundgate.tracks.structure.moments import LaggedMoments, lagged_moments
from soundgate.tracks.structure.normaliser import Normaliser
from soundgate.tracks.structure.sequences import HOLDOUT, TRAIN


def gaussians(centre: Tensor, std: Tensor, n: int) -> GaussianMixture:
    """Return n diagonal Gaussians with centres ``[D]`` or ``[n, D]`` and standard deviations ``[D]``."""
    shape = (n, 1, centre.shape[-1])
    centre = centre[:, None] if centre.dim() == 2 else centre.expand(shape)
    return GaussianMixture(centre.new_zeros(n, 1), centre, logarithm(std).expand(shape))


@dataclass(frozen=True)
class Gaussian:
    """One diagonal Gaussian for every step; with a mean of zero, holding still with the noise that takes.

    Attributes:
        mean: ``[D]``.
        std: ``[D]``.
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, steps: StepStatistics) -> Gaussian:
        """Return the Gaussian of the train steps."""
        return cls(steps.mean, steps.std)

    @classmethod
    def still(cls, steps: StepStatistics) -> Gaussian:
        """Return persistence, x[t] = x[t-1]."""
        return cls(torch.zeros_like(steps.mean), square_root(steps.std.square() + steps.mean.square()))

    def __call__(self, windows: Tensor) -> GaussianMixture:
        """Return the same prediction for each window."""
        return gaussians(self.mean.to(windows), self.std.to(windows), len(windows))


@dataclass(frozen=True)
class UniformLogNormal:
    """Any direction as likely as any other, times the log-normal magnitude of the train steps."""

    steps: StepStatistics

    def __call__(self, windows: Tensor) -> VmfLogNormal:
        """Return the same prediction for each window; the smallest concentration is as good as none."""
        axis = torch.zeros_like(windows[:, 0])
        axis[:, 0] = 1
        full = torch.ones(len(windows), dtype=torch.float64, device=windows.device)
        return VmfLogNormal(axis, KAPPA[0] * full, self.steps.log_mean * full, self.steps.log_std * full)


@dataclass(frozen=True)
class Linear:
    """A ridge regression of the step on the window, its errors diagonal Gaussian.

    Attributes:
        scale: mean and standard deviation of the frames ``[2, D]``.
        weight: of the z-scored window ``[W D, D]``.
        intercept: ``[D]``.
        std: of the errors on the hold-out (train frames where there is none) ``[D]``.
        ridge: the penalty.
    """

    scale: Tensor
    weight: Tensor
    intercept: Tensor
    std: Tensor
    ridge: float

    def __call__(self, windows: Tensor) -> GaussianMixture:
        """Return the predictions of windows ``[B, W, D]``."""
        scale = self.scale.to(windows)
        z = ((windows - scale[0]) / scale[1]).flatten(1)
        centre = z @ self.weight.to(windows) + self.intercept.to(windows)
        return gaussians(centre, self.std.to(windows), len(windows))


class LinearFitter:
    """Fits `Linear` for any horizon from one pass over the frames.

    Args:
        frames: train frames to fit on, hold-out to choose the penalty on (at the first horizon asked for).
        window: W.
        ridges: penalties to choose from, each times the mean variance of the window's entries.
        rows: train frames that give the z-scoring.
    """

    def __init__(self, frames: Frames, window: int, ridges: tuple[float, ...], rows: np.ndarray) -> None:
        self.frames, self.window, self.ridges = frames, window, ridges
        self.scale = frame_scale(frames, rows)
        normaliser = Normaliser(*self.scale.double().numpy())
        self.train, self.held = (
            lagged_moments(frames.sequences, normaliser, frames.history, (split,)) for split in (TRAIN, HOLDOUT)
        )

    def fit(self, horizon: int) -> Linear:
        """Return the linear model of one horizon."""
        past, cross, mean, step = _moments(self.train, horizon, self.window)
        best: tuple[float, float, np.ndarray] | None = None
        held = _moments_about(self.held, horizon, self.window, mean, step) if self.held.n else None
        for ridge in self.ridges if held else (max(self.ridges),):
            penalised = past.copy(order="F")
            penalised.flat[:: len(past) + 1] += ridge * np.trace(past) / len(past)
            weight = cho_solve(cho_factor(penalised, overwrite_a=True, check_finite=False), cross, check_finite=False)
            error = np.sum(weight * (held[0] @ weight - 2 * held[1])) if held else 0.0
            if best is None or error < best[0]:
                best = (error, ridge, weight)
        _, ridge, weight = best
        self.ridges = (ridge,)
        return self._with_errors(horizon, weight, step - mean @ weight, ridge)

    def _with_errors(self, horizon: int, weight: np.ndarray, intercept: np.ndarray, ridge: float) -> Linear:
        std = self.scale[1].double().numpy()
        arrays = [torch.from_numpy(a).float() for a in (weight * std, intercept * std)]
        frames, windows = self.frames, Windows(self.frames, self.window, horizon)
        model = Linear(self.scale, *arrays, torch.ones(len(std)), ridge)
        rows = frames.targets(HOLDOUT) if len(frames.targets(HOLDOUT)) else frames.targets(TRAIN)
        square = torch.zeros(len(std), dtype=torch.float64)
        for part in np.array_split(rows, -(-len(rows) // SCORED_AT_ONCE)):
            square += (frames.steps(part) - model(windows(part)).mean()).double().square().sum(0)
        errors = square_root(square / len(rows))
        return Linear(self.scale, *arrays, errors.clamp(min=1e-6 * float(errors.max())).float(), ridge)


def _moments(moments: LaggedMoments, horizon: int, window: int) -> tuple[np.ndarray, ...]:
    """Return the window's covariance ``[W D, W D]``, its covariance with the step, and the means of both.

    The window's frames are in order of time, as `Windows` gives them.
    """
    total = moments.total / moments.n
    past = moments.covariance(range(horizon, horizon + window))
    size, dim = past.shape[0], total.shape[1]
    product = moments.product[horizon : horizon + window]
    cross = ((product[:, 0] - product[:, 1]) / moments.n).reshape(size, dim)
    mean, step = total[horizon : horizon + window].ravel(), total[0] - total[1]
    order = np.arange(size).reshape(window, dim)[::-1].ravel()
    return past[np.ix_(order, order)], (cross - np.outer(mean, step))[order], mean[order], step


def _moments_about(
    held: LaggedMoments, horizon: int, window: int, mean: np.ndarray, step: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the same second moments of other frames about the train means."""
    past, cross, held_mean, held_step = _moments(held, horizon, window)
    off, step_off = held_mean - mean, held_step - step
    return past + np.outer(off, off), cross + np.outer(off, step_off)
