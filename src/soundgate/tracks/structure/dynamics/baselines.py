"""Distributions of steps that know no context."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soundgate.runtime.arithmetic import square_root
from soundgate.tracks.structure.dynamics.families import KAPPA, GaussianMixture, StepStatistics, VmfLogNormal, gaussians


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
        """Return persistence, x[t] = x[t-k]."""
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
        return VmfLogNormal(
            torch.ones_like(axis[0]), axis, KAPPA[0] * full, self.steps.log_mean * full, self.steps.log_std * full
        )
