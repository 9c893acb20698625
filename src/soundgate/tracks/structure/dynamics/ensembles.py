"""Ensembles of forecasts: free runs that draw each step, direct predictions, and the score that both are held to."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from soundgate.tracks.structure.dynamics.rollout import Model
from soundgate.tracks.structure.dynamics.windows import Frames


def energy_score(draws: Tensor, truth: Tensor) -> Tensor:
    """Return E|X - y| - E|X - X'| / 2, unbiased by the number of draws; its expectation is least for the true law.

    Args:
        draws: of independent members ``[M, B, D]``, at least two.
        truth: ``[B, D]``.

    Returns:
        float64 ``[B]``.

    Source: Gneiting & Raftery 2007, section 4.2; Ferro 2014 for the ensemble's own number of pairs.
    """
    draws, truth = draws.double(), truth.double()
    members = len(draws)
    error = (draws - truth).norm(dim=2).mean(0)
    apart = sum((draws[i + 1 :] - draws[i]).norm(dim=2).sum(0) for i in range(members - 1))
    return error - apart / (members * (members - 1))


@torch.no_grad()
def free_runs(
    model: Model,
    frames: Frames,
    starts: np.ndarray,
    steps: int,
    window: int,
    members: int,
    device: torch.device,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Let a model of horizon 1 go on from its own states.

    Args:
        model: from windows to predictions of the next step.
        frames: the truth.
        starts: last true frame of each run ``[n]``.
        steps: K.
        window: W.
        members: M, runs from each start.
        device: to compute on.
        generator: of the draws; None: the expected step is taken, and a run stands for all members.

    Returns:
        The states after each step ``[K, M, n, D]``.
    """
    state = torch.from_numpy(frames.x[starts[:, None] + np.arange(1 - window, 1)])
    state = state.to(device).repeat(members if generator else 1, 1, 1)
    kept = []
    for _ in range(steps):
        predicted = model(state)
        step = predicted.sample(generator) if generator else predicted.mean()
        state = torch.cat([state[:, 1:], (state[:, -1] + step)[:, None]], 1)
        kept.append(state[:, -1])
    runs = torch.stack(kept).unflatten(1, (-1, len(starts)))
    return runs if generator else runs.expand(-1, members, -1, -1)


@torch.no_grad()
def direct_draws(
    model: Model, frames: Frames, starts: np.ndarray, window: int, members: int, generator: torch.Generator
) -> Tensor:
    """Draw the frame a horizon after each start ``[M, n, D]`` from a model of that horizon."""
    windows = torch.from_numpy(frames.x[starts[:, None] + np.arange(1 - window, 1)]).to(generator.device)
    steps = model(windows.repeat(members, 1, 1)).sample(generator).unflatten(0, (members, len(starts)))
    return windows[:, -1] + steps
