"""The linear model of a step: what a network is given from the start, and what it must beat."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN

# Frames scored at once; where a search of penalties ends: least squares, and as good as none of the window.
SCORED_AT_ONCE, RIDGES, N_FOLDS = 2048, (1e-8, 1e4), 2


@dataclass(frozen=True)
class Linear:
    """A ridge regression of the step on the window, its errors diagonal Gaussian.

    Attributes:
        scale: mean and standard deviation of the frames ``[2, D]``.
        weight: of the z-scored window ``[W D, D]``.
        intercept: ``[D]``.
        std: of the errors on the hold-out (train frames where there is none) ``[D]``.
        ridge: the penalty of each dimension of the step ``[D]``; infinite: its mean whatever the window.
        least: the smallest penalty that could be solved for, where some dimension wanted a smaller one; else 0.
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

    def to(self, device: torch.device) -> Linear:
        """Return the same on a device."""
        parts = (self.scale, self.weight, self.intercept, self.std)
        return Linear(*(part.to(device) for part in parts), self.ridge, self.least)

    def choice(self) -> dict[str, float]:
        """Return which penalties the hold-out chose: the median, the share of dimensions that wanted a smaller one than
        there is, and the share that takes no notice of the window."""
        return {
            "median_ridge": float(np.median(self.ridge)),
            "at_least_ridge": float(np.mean(self.ridge <= self.least)),
            "without_window": float(np.mean(np.isinf(self.ridge))),
        }


@dataclass(frozen=True)
class CrossFitted:
    """A linear model, and what stands in its place while something is trained on the frames that it was fitted on.

    Its errors on those frames are smaller than on any others: a network that is given its predictions would learn that
    they are surer than they are.

    Attributes:
        model: fitted on all train utterances.
        folds: models of the same penalties, each without one part of the train utterances.
        fold: the part that each utterance is in ``[U]``.
        frames: fitted on.
    """

    model: Linear
    folds: tuple[Linear, ...]
    fold: np.ndarray
    frames: Frames

    def to(self, device: torch.device) -> CrossFitted:
        """Return the same on a device."""
        folds = tuple(part.to(device) for part in self.folds)
        return CrossFitted(self.model.to(device), folds, self.fold, self.frames)

    def expected(self, rows: np.ndarray, windows: Tensor) -> Tensor:
        """Return the steps to frames ``[B]`` expected after their windows by the models not fitted on them."""
        fold = self.fold[self.frames.sequences.utterance[rows]]
        steps = windows.new_empty(len(rows), windows.shape[2])
        for i, model in enumerate(self.folds):
            own = torch.from_numpy(fold == i).to(windows.device)
            steps[own] = model.expected(windows[own])
        return steps


class LinearFitter:
    """Fits `Linear` for several horizons at once, from one pass over the frames.

    The hold-out chooses the penalty of each horizon and dimension: from the one begun with they are tried up and down
    by tens for as long as the hold-out gets better, within `RIDGES`; an infinite one is always there to choose.

    Args:
        frames: train frames to fit on, hold-out to choose the penalties on.
        ridge: the penalty to begin with (without a hold-out the one that is taken), times the mean variance of the
            window's entries.
        scale: mean and standard deviation of frames ``[2, D]``.
    """

    def __init__(self, frames: Frames, ridge: float, scale: Tensor) -> None:
        self.frames, self.ridge, self.scale = frames, ridge, scale
        sequences, normaliser = frames.sequences, Normaliser(*scale.double().numpy())
        train = sequences.split == TRAIN
        # One after the other, so that frames are read in long chunks.
        self.fold = np.maximum(np.cumsum(train) - 1, 0) * N_FOLDS // max(train.sum(), 1)
        self.parts = []
        for fold in range(N_FOLDS):
            own = replace(sequences, split=np.where(train & (self.fold == fold), TRAIN, EVAL))
            self.parts.append(lagged_moments(own, normaliser, frames.history, (TRAIN,)))
        self.held = lagged_moments(sequences, normaliser, frames.history, (HOLDOUT,))

    def fit(self, window: int, horizons: tuple[int, ...] = (1,)) -> dict[int, CrossFitted]:
        """Return the linear model of each horizon.

        Args:
            window: W.
            horizons: all k; W + the largest - 1 is at most the frames' history.
        """
        moments = _Moments.of(_sum(self.parts), window, horizons)
        held = _Moments.of(self.held, window, horizons).about(moments) if self.held.n else None
        best = self._search(moments, held)
        whole = self._models(window, horizons, best, moments)
        folds = []
        for i in range(N_FOLDS):
            rest = _sum(self.parts[:i] + self.parts[i + 1 :])
            if not rest.n or not self.parts[i].n:
                folds.append(whole)
                continue
            part = _Moments.of(rest, window, horizons)
            # Of fewer frames the same penalty is a larger share.
            weight = part.solve_columns(best.ridge * moments.n / part.n)
            folds.append(self._models(window, horizons, replace(best, weight=weight), part, whole))
        return {k: CrossFitted(whole[k], tuple(fold[k] for fold in folds), self.fold, self.frames) for k in horizons}

    def _search(self, moments: _Moments, held: _Moments | None) -> _Best:
        best = _Best.nothing(*moments.cross.shape)
        every = np.arange(len(best.error))
        begun = best.offer(self.ridge, moments.solve(self.ridge), held, every)
        if held is not None:
            self._walk(best, moments, held, 10.0, every, begun)
            # What a larger penalty makes better a smaller one does not.
            below = every[(best.ridge <= self.ridge) | np.isinf(best.ridge)]
            wanting, ridge = self._walk(best, moments, held, 0.1, below, begun[below])
            best.least = ridge if len(wanting) else 0.0
        return best

    def _walk(
        self,
        best: _Best,
        moments: _Moments,
        held: _Moments,
        factor: float,
        columns: np.ndarray,
        error: np.ndarray,
    ) -> tuple[np.ndarray, float]:
        """Change the penalty by a factor for as long as some columns get better.

        Returns:
            The columns that wanted to go on where the walk ended, and the penalty there.
        """
        ridge = self.ridge
        while len(columns) and RIDGES[0] < ridge < RIDGES[1]:
            try:
                weight = moments.solve(ridge * factor, columns)
            except LinAlgError:
                break
            ridge *= factor
            found = best.offer(ridge, weight, held, columns)
            better = found < error
            columns, error = columns[better], found[better]
        return columns, ridge

    def _models(
        self,
        window: int,
        horizons: tuple[int, ...],
        best: _Best,
        moments: _Moments,
        errors_of: dict[int, Linear] | None = None,
    ) -> dict[int, Linear]:
        """Return the models of some weights, with the errors of others or their own."""
        std, found = self.scale[1].double().numpy(), {}
        for i, k in enumerate(horizons):
            part = best.part(slice(i * len(std), (i + 1) * len(std)))
            intercept = moments.steps[k] - moments.mean @ part.weight
            arrays = [torch.from_numpy(a * std).float() for a in (part.weight, intercept)]
            errors = torch.ones(len(std)) if errors_of is None else errors_of[k].std
            model = Linear(self.scale, *arrays, errors, part.ridge, part.least)
            found[k] = self._with_errors(model, Windows(self.frames, window, k)) if errors_of is None else model
        return found

    def _with_errors(self, model: Linear, windows: Windows) -> Linear:
        held, train = (self.frames.targets(split) for split in (HOLDOUT, TRAIN))
        rows = held if len(held) else train
        square = torch.zeros(len(model.std), dtype=torch.float64)
        for part in np.array_split(rows, -(-len(rows) // SCORED_AT_ONCE)):
            square += (windows.steps(part) - model.expected(windows(part))).double().square().sum(0)
        errors, least = square_root(square / len(rows)), model.choice()["at_least_ridge"]
        if least:
            share = f"{100 * least:.0f} % of the dimensions want a smaller penalty than there is"
            logger.warning("Linear model, horizon %d: %s", windows.horizon, share)
        return replace(model, std=errors.clamp(min=1e-6 * float(errors.max())).float())


def _sum(parts: list[LaggedMoments]) -> LaggedMoments:
    if len(parts) == 1:
        return parts[0]
    return LaggedMoments(*(sum(getattr(part, name) for part in parts) for name in ("n", "total", "product")))


@dataclass(frozen=True)
class _Moments:
    """Second moments of windows and of the steps after their ends, of all horizons side by side.

    Attributes:
        past: covariance of the window's entries ``[W D, W D]``, its frames in order of time.
        cross: their covariance with the steps ``[W D, horizons x D]``.
        mean: of the window ``[W D]``.
        steps: mean step by horizon, each ``[D]``.
        n: frames behind them.
    """

    past: np.ndarray
    cross: np.ndarray
    mean: np.ndarray
    steps: dict[int, np.ndarray]
    n: int

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
        return cls(past[np.ix_(order, order)], np.concatenate(cross, 1), mean, steps, moments.n)

    def about(self, other: _Moments) -> _Moments:
        """Return the same moments about other means."""
        off = self.mean - other.mean
        step = np.concatenate([own - other.steps[k] for k, own in self.steps.items()])
        past, cross = self.past + np.outer(off, off), self.cross + np.outer(off, step)
        return replace(self, past=past, cross=cross, mean=other.mean, steps=other.steps)

    def solve(self, ridge: float, columns: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Return the weights that a penalty gives ``[W D, horizons x D]``, or some columns of them."""
        penalised = self.past.copy(order="F")
        penalised.flat[:: len(penalised) + 1] += ridge * np.trace(self.past) / len(penalised)
        factor = cho_factor(penalised, overwrite_a=True, check_finite=False)
        return cho_solve(factor, self.cross[:, columns], check_finite=False)

    def solve_columns(self, ridge: np.ndarray) -> np.ndarray:
        """Return the weights that a penalty for each column gives; none where it is infinite."""
        weight = np.zeros_like(self.cross)
        for own in np.unique(ridge[np.isfinite(ridge)]):
            weight[:, ridge == own] = self.solve(own, ridge == own)
        return weight


@dataclass
class _Best:
    """The best weights so far of each column, what they take from the error of none, their penalties; see `Linear`."""

    weight: np.ndarray
    error: np.ndarray
    ridge: np.ndarray
    least: float = 0.0

    @classmethod
    def nothing(cls, n_entries: int, n_columns: int) -> _Best:
        """Return no weights: an infinite penalty."""
        return cls(np.zeros((n_entries, n_columns)), np.zeros(n_columns), np.full(n_columns, np.inf))

    def offer(self, ridge: float, weight: np.ndarray, held: _Moments | None, columns: np.ndarray) -> np.ndarray:
        """Take over what is better of some columns on the hold-out, without one all; return their errors."""
        error = np.full(len(columns), -np.inf)
        if held is not None:
            single = weight.astype(np.float32)
            error = np.einsum("ij,ij->j", single, held.past.astype(np.float32) @ single, dtype=np.float64)
            error -= 2 * np.einsum("ij,ij->j", weight, held.cross[:, columns])
        better = error < self.error[columns]
        own = columns[better]
        self.weight[:, own], self.error[own], self.ridge[own] = weight[:, better], error[better], ridge
        return error

    def part(self, columns: slice) -> _Best:
        """Return some columns."""
        return _Best(self.weight[:, columns], self.error[columns], self.ridge[columns], self.least)
