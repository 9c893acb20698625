"""The linear model of a step: what a network is given from the start, and what it must beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from torch import Tensor

from soundgate.runtime.arithmetic import square_root
from soundgate.runtime.console import logger
from soundgate.tracks.structure.dynamics.families import GaussianMixture, gaussians
from soundgate.tracks.structure.dynamics.windows import Frames, Windows
from soundgate.tracks.structure.moments import LaggedMoments, lagged_moments
from soundgate.tracks.structure.normaliser import Normaliser
from soundgate.tracks.structure.sequences import HOLDOUT, TRAIN

# Frames scored at once, and the penalty at which a grid ends: least squares.
SCORED_AT_ONCE, LEAST_RIDGE = 2048, 1e-8


@dataclass(frozen=True)
class Linear:
    """A ridge regression of the step on the window, its errors diagonal Gaussian.

    Attributes:
        scale: mean and standard deviation of the frames ``[2, D]``.
        weight: of the z-scored window ``[W D, D]``.
        intercept: ``[D]``.
        std: of the errors on the hold-out (train frames where there is none) ``[D]``.
        ridge: the penalty of each dimension of the step ``[D]``; infinite: its mean whatever the window.
        least: the smallest penalty there was to choose.
    """

    scale: Tensor
    weight: Tensor
    intercept: Tensor
    std: Tensor
    ridge: np.ndarray
    least: float

    def expected(self, windows: Tensor) -> Tensor:
        """Return the steps expected after windows ``[B, W, D]``, ``[B, D]``."""
        scale = self.scale.to(windows)
        z = ((windows - scale[0]) / scale[1]).flatten(1)
        return z @ self.weight.to(windows) + self.intercept.to(windows)

    def __call__(self, windows: Tensor) -> GaussianMixture:
        """Return the predictions of windows ``[B, W, D]``."""
        return gaussians(self.expected(windows), self.std.to(windows), len(windows))

    def choice(self) -> dict[str, float]:
        """Return which penalties the hold-out chose: the median, the share of dimensions at the smallest there was, and
        the share that takes no notice of the window."""
        return {
            "median_ridge": float(np.median(self.ridge)),
            "at_least_ridge": float(np.mean(self.ridge <= self.least)),
            "without_window": float(np.mean(np.isinf(self.ridge))),
        }


class LinearFitter:
    """Fits `Linear` for several horizons at once, from one pass over the frames.

    The hold-out chooses the penalty of each horizon and dimension. Beside those of the grid it may choose an infinite
    one; where it wants the smallest, the grid is made longer, down to `LEAST_RIDGE` or until nothing can be solved.

    Args:
        frames: train frames to fit on, hold-out to choose the penalties on.
        ridges: penalties to choose from, each times the mean variance of the window's entries.
        scale: mean and standard deviation of frames ``[2, D]``.
    """

    def __init__(self, frames: Frames, ridges: tuple[float, ...], scale: Tensor) -> None:
        self.frames, self.ridges, self.scale = frames, ridges, scale
        normaliser = Normaliser(*scale.double().numpy())
        self.train, self.held = (
            lagged_moments(frames.sequences, normaliser, frames.history, (split,)) for split in (TRAIN, HOLDOUT)
        )

    def fit(self, window: int, horizons: tuple[int, ...] = (1,)) -> dict[int, Linear]:
        """Return the linear model of each horizon.

        Args:
            window: W.
            horizons: all k; W + the largest - 1 is at most the frames' history.
        """
        moments = _Moments.of(self.train, window, horizons)
        held = _Moments.of(self.held, window, horizons).about(moments) if self.held.n else None
        best = _Best.nothing(*moments.cross.shape)
        grid = sorted(self.ridges, reverse=True) if held else [max(self.ridges)]
        for ridge in grid:
            try:
                best.offer(ridge, moments.solve(ridge), held)
            except LinAlgError:
                break
            best.least = ridge
            if held and ridge == grid[-1] and ridge > LEAST_RIDGE and (best.ridge == ridge).any():
                grid.append(ridge / 10)
        dim = len(self.scale[0])
        return {
            k: self._with_errors(window, k, best.part(slice(i * dim, (i + 1) * dim)), moments)
            for i, k in enumerate(horizons)
        }

    def _with_errors(self, window: int, horizon: int, best: _Best, moments: _Moments) -> Linear:
        std, frames = self.scale[1].double().numpy(), self.frames
        step = moments.steps[horizon]
        arrays = [torch.from_numpy(a * std).float() for a in (best.weight, step - moments.mean @ best.weight)]
        windows = Windows(frames, window, horizon)
        model = Linear(self.scale, *arrays, torch.ones(len(std)), best.ridge, best.least)
        rows = frames.targets(HOLDOUT) if len(frames.targets(HOLDOUT)) else frames.targets(TRAIN)
        square = torch.zeros(len(std), dtype=torch.float64)
        for part in np.array_split(rows, -(-len(rows) // SCORED_AT_ONCE)):
            square += (windows.steps(part) - model.expected(windows(part))).double().square().sum(0)
        errors = square_root(square / len(rows))
        least = model.choice()["at_least_ridge"]
        if least:
            logger.warning(
                "Linear model, horizon %d: %.0f %% of the dimensions want the smallest penalty", horizon, 100 * least
            )
        return Linear(self.scale, *arrays, errors.clamp(min=1e-6 * float(errors.max())).float(), best.ridge, best.least)


@dataclass(frozen=True)
class _Moments:
    """Second moments of windows and of the steps after their ends, of all horizons side by side.

    Attributes:
        past: covariance of the window's entries ``[W D, W D]``, its frames in order of time.
        cross: their covariance with the steps ``[W D, horizons x D]``.
        mean: of the window ``[W D]``.
        steps: mean step by horizon, each ``[D]``.
    """

    past: np.ndarray
    cross: np.ndarray
    mean: np.ndarray
    steps: dict[int, np.ndarray]

    @classmethod
    def of(cls, moments: LaggedMoments, window: int, horizons: tuple[int, ...]) -> _Moments:
        """Read them from moments by lag; the windows of all horizons are the same, and end the largest before t."""
        last, total = max(horizons), moments.total / moments.n
        past = moments.covariance(range(last, last + window))
        size, dim = past.shape[0], total.shape[1]
        order = np.arange(size).reshape(window, dim)[::-1].ravel()
        mean = total[last : last + window].ravel()[order]
        product = moments.product[last : last + window]
        steps, cross = {}, []
        for k in horizons:
            steps[k] = total[last - k] - total[last]
            raw = ((product[:, last - k] - product[:, last]) / moments.n).reshape(size, dim)
            cross.append(raw[order] - np.outer(mean, steps[k]))
        return cls(past[np.ix_(order, order)], np.concatenate(cross, 1), mean, steps)

    def about(self, other: _Moments) -> _Moments:
        """Return the same moments about other means."""
        off = self.mean - other.mean
        step = np.concatenate([own - other.steps[k] for k, own in self.steps.items()])
        return _Moments(self.past + np.outer(off, off), self.cross + np.outer(off, step), other.mean, other.steps)

    def solve(self, ridge: float) -> np.ndarray:
        """Return the weights that a penalty gives ``[W D, horizons x D]``."""
        penalised = self.past.copy(order="F")
        penalised.flat[:: len(penalised) + 1] += ridge * np.trace(self.past) / len(penalised)
        return cho_solve(cho_factor(penalised, overwrite_a=True, check_finite=False), self.cross, check_finite=False)


@dataclass
class _Best:
    """The best weights so far of each column, what they take from the error of none, their penalties, the smallest."""

    weight: np.ndarray
    error: np.ndarray
    ridge: np.ndarray
    least: float = 0.0

    @classmethod
    def nothing(cls, n_entries: int, n_columns: int) -> _Best:
        """Return no weights: an infinite penalty."""
        return cls(np.zeros((n_entries, n_columns)), np.zeros(n_columns), np.full(n_columns, np.inf))

    def offer(self, ridge: float, weight: np.ndarray, held: _Moments | None) -> None:
        """Take over the columns that are better on the hold-out; without one all."""
        error = np.full(len(self.error), -np.inf)
        if held is not None:
            error = np.einsum("ij,ij->j", weight, held.past @ weight - 2 * held.cross)
        better = error < self.error
        self.weight[:, better], self.error[better], self.ridge[better] = weight[:, better], error[better], ridge

    def part(self, columns: slice) -> _Best:
        """Return some columns."""
        return _Best(self.weight[:, columns], self.error[columns], self.ridge[columns], self.least)
