"""Families of distributions of a step dx."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from soundgate.runtime.arithmetic import log_sum_exp, logarithm
from soundgate.tracks.structure.dynamics import power_spherical, vmf

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
KAPPA = (1e-3, 1e5)


class Prediction(Protocol):
    """Distributions of steps ``[B, D]``, one for each context."""

    def nll(self, step: Tensor) -> Tensor:
        """Return the negative log-likelihood of steps ``[B, D]`` in nats, float64 ``[B]``."""

    def mean(self) -> Tensor:
        """Return the expected steps ``[B, D]``."""

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw one step for each context ``[B, D]``."""


@dataclass(frozen=True)
class StepStatistics:
    """What train steps look like, to start from; tensors in float32.

    Attributes:
        mean: of the steps ``[D]``.
        std: of each dimension ``[D]``.
        log_mean: mean of the log magnitudes.
        log_std: their standard deviation.
    """

    mean: Tensor
    std: Tensor
    log_mean: float
    log_std: float

    @classmethod
    def of(cls, steps: Tensor) -> StepStatistics:
        """Measure steps ``[n, D]``, none of them zero."""
        steps = steps.double()
        magnitude = steps.norm(dim=1)
        log = logarithm(magnitude)
        std = steps.std(0, unbiased=False)
        std = std.clamp(min=1e-6 * float(std.max()))
        return cls(
            steps.mean(0).float(),
            std.float(),
            float(log.mean()),
            max(float(log.std(unbiased=False)), 1e-3),
        )


@dataclass(frozen=True)
class DirectionLogNormal:
    """A scaled step's direction around a mean one, its magnitude by a log-normal distribution, independent.

    Attributes:
        scale: what each dimension of a step is divided by ``[D]``.
        direction: unit mean directions ``[B, D]``.
        kappa: concentrations, float64 ``[B]``.
        log_mean: mean log magnitudes, float64 ``[B]``.
        log_std: their standard deviations, float64 ``[B]``.
    """

    directions: ClassVar[ModuleType]
    scale: Tensor
    direction: Tensor
    kappa: Tensor
    log_mean: Tensor
    log_std: Tensor

    def nll(self, step: Tensor) -> Tensor:
        """Return -log p(u) - log N(log m) + D log m + sum log scale, of dx = scale m u.

        The last terms are the Jacobian of (m, u) -> m u (m^(D - 1)), of the logarithm (m) and of the scale: without
        them the number is no density of dx and cannot be held beside a Gaussian's.
        """
        dim = step.shape[1]
        log_m = logarithm(self.scaled(step).norm(dim=1))
        standard = (log_m - self.log_mean) / self.log_std
        magnitude = HALF_LOG_2PI + logarithm(self.log_std) + 0.5 * standard.square()
        jacobian = dim * log_m + logarithm(self.scale).double().sum()
        return magnitude + jacobian - self.directions.log_density(self.cosine(step), self.kappa, dim)

    def scaled(self, step: Tensor) -> Tensor:
        """Return steps in units of the scale, float64 ``[B, D]``."""
        return (step / self.scale).double()

    def cosine(self, step: Tensor) -> Tensor:
        """Return mu . u, float64 ``[B]``."""
        return torch.nn.functional.cosine_similarity(self.direction.double(), self.scaled(step), dim=1)

    def resultant(self) -> Tensor:
        """Return the expected cosines to the mean directions, float64 ``[B]``."""
        return self.directions.mean_resultant(self.kappa, self.direction.shape[1])

    def magnitude(self) -> Tensor:
        """Return E[m], float64 ``[B]``."""
        return torch.exp(self.log_mean + 0.5 * self.log_std.square())

    def mean(self) -> Tensor:
        """Return E[m] E[u], in the unit of the steps."""
        length = self.magnitude() * self.resultant()
        return self.scale * self.direction * length[:, None].to(self.direction.dtype)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw directions and magnitudes, apart."""
        unit = self.directions.sample(self.direction, self.kappa, generator)
        draw = torch.randn(len(unit), generator=generator, dtype=torch.float64, device=unit.device)
        return self.scale * unit * torch.exp(self.log_mean + self.log_std * draw)[:, None].to(unit.dtype)


class VmfLogNormal(DirectionLogNormal):
    """Directions by von Mises-Fisher."""

    directions = vmf


class PowerSphericalLogNormal(DirectionLogNormal):
    """Directions by the Power Spherical distribution, whose tails are heavier and whose draws need no rejection."""

    directions = power_spherical


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of K diagonal Gaussians.

    Attributes:
        log_weight: ``[B, K]``, normalised.
        centre: ``[B, K, D]``.
        log_std: ``[B, K, D]``.
    """

    log_weight: Tensor
    centre: Tensor
    log_std: Tensor

    def nll(self, step: Tensor) -> Tensor:
        """Return the negative logarithm of the mixture's density."""
        standard = (step[:, None] - self.centre) * torch.exp(-self.log_std)
        each = (0.5 * standard.square() + self.log_std).sum(2).double() + step.shape[1] * HALF_LOG_2PI
        return -log_sum_exp(self.log_weight.double() - each, dim=1)

    def mean(self) -> Tensor:
        """Return the weighted centres."""
        return torch.einsum("bk,bkd->bd", self.log_weight.exp(), self.centre)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw a component, then from it."""
        rows = torch.arange(len(self.centre), device=self.centre.device)
        chosen = torch.multinomial(self.log_weight.exp(), 1, generator=generator).squeeze(1)
        draw = torch.randn(self.centre.shape[::2], generator=generator, device=self.centre.device)
        return self.centre[rows, chosen] + torch.exp(self.log_std[rows, chosen]) * draw


def gaussians(centre: Tensor, std: Tensor, n: int) -> GaussianMixture:
    """Return n diagonal Gaussians with centres ``[D]`` or ``[n, D]`` and standard deviations ``[D]``."""
    shape = (n, 1, centre.shape[-1])
    centre = centre[:, None] if centre.dim() == 2 else centre.expand(shape)
    return GaussianMixture(centre.new_zeros(n, 1), centre, logarithm(std).expand(shape))
