"""Families of distributions of a step dx, each a small map from a network's outputs to a density."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from soundgate.runtime.arithmetic import log_sum_exp, logarithm
from soundgate.tracks.structure.dynamics.vmf import concentration, log_normaliser, mean_resultant, sample

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
KAPPA = (1e-3, 1e5)
# Bounds of what a network says, in train standard deviations: means this far out, spreads between these factors.
# Magnitudes are kept closer: they are exponentials, and a run that draws them has to come back from where it strayed.
REACH, SPREAD = 6.0, (0.05, 5.0)
LOG_REACH, LOG_SPREAD = 3.0, (0.05, 1.5)


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
        direction: mean of the unit directions ``[D]``; its length is the mean resultant length.
        log_mean: mean of the log magnitudes.
        log_std: their standard deviation.
    """

    mean: Tensor
    std: Tensor
    direction: Tensor
    log_mean: float
    log_std: float

    @classmethod
    def of(cls, steps: Tensor) -> StepStatistics:
        """Measure steps ``[n, D]``, none of them zero."""
        steps = steps.double()
        magnitude = steps.norm(dim=1)
        log = logarithm(magnitude)
        direction = (steps / magnitude[:, None]).mean(0)
        std = steps.std(0, unbiased=False)
        std = std.clamp(min=1e-6 * float(std.max()))
        return cls(
            steps.mean(0).float(),
            std.float(),
            direction.float(),
            float(log.mean()),
            max(float(log.std(unbiased=False)), 1e-3),
        )


@dataclass(frozen=True)
class VmfLogNormal:
    """A step's direction by von Mises-Fisher, its magnitude by a log-normal distribution, independent.

    Attributes:
        direction: unit mean directions ``[B, D]``.
        kappa: concentrations, float64 ``[B]``.
        log_mean: mean log magnitudes, float64 ``[B]``.
        log_std: their standard deviations, float64 ``[B]``.
    """

    direction: Tensor
    kappa: Tensor
    log_mean: Tensor
    log_std: Tensor

    def nll(self, step: Tensor) -> Tensor:
        """Return -log p(dx) = -log C - kappa mu . u - log N(log m) + D log m.

        The last term is the Jacobian of (m, u) -> m u (m^(D - 1)) and of the logarithm (m): without it the number
        is no density of dx and cannot be held beside a Gaussian's.
        """
        dim = step.shape[1]
        log_m = logarithm(step.double().norm(dim=1))
        cosine = self.cosine(step)
        standard = (log_m - self.log_mean) / self.log_std
        direction = -log_normaliser(self.kappa, dim) - self.kappa * cosine
        magnitude = HALF_LOG_2PI + logarithm(self.log_std) + 0.5 * standard.square()
        return direction + magnitude + dim * log_m

    def cosine(self, step: Tensor) -> Tensor:
        """Return mu . u, float64 ``[B]``."""
        return torch.nn.functional.cosine_similarity(self.direction.double(), step.double(), dim=1)

    def mean(self) -> Tensor:
        """Return E[m] A(kappa) mu."""
        length = torch.exp(self.log_mean + 0.5 * self.log_std.square())
        length = length * mean_resultant(self.kappa, self.direction.shape[1])
        return self.direction * length[:, None].to(self.direction.dtype)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw directions by Wood's algorithm and magnitudes, apart."""
        unit = sample(self.direction, self.kappa, generator)
        draw = torch.randn(len(unit), generator=generator, dtype=torch.float64, device=unit.device)
        return unit * torch.exp(self.log_mean + self.log_std * draw)[:, None].to(unit.dtype)


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


class VmfHead(nn.Module):
    """Outputs to `VmfLogNormal`: D of direction, then one each of concentration, log mean and log spread.

    Outputs of 0 give the train steps' own mean direction, concentration (Banerjee), log mean and log spread; all but
    the direction are bounded by smooth maps, so that no gradient ends at a bound.
    """

    def __init__(self, steps: StepStatistics) -> None:
        super().__init__()
        self.dim = len(steps.mean)
        self.n_outputs = self.dim + 3
        length = float(steps.direction.norm())
        self.register_buffer("direction", steps.direction / max(length, 1e-12))
        kappa = min(max(concentration(length, self.dim), 2 * KAPPA[0]), KAPPA[1] / 2)
        self.register_buffer("log_kappa", torch.tensor(math.log(kappa), dtype=torch.float64))
        self.register_buffer("magnitude", torch.tensor([steps.log_mean, steps.log_std], dtype=torch.float64))

    def forward(self, outputs: Tensor) -> VmfLogNormal:
        """Return the predictions for outputs ``[B, D + 3]``."""
        direction = torch.nn.functional.normalize(self.direction + outputs[:, : self.dim], dim=1)
        kappa, mean, spread = outputs[:, self.dim :].double().unbind(1)
        low, high = (math.log(k) for k in KAPPA)
        log_mean = self.magnitude[0] + self.magnitude[1] * LOG_REACH * torch.tanh(mean / LOG_REACH)
        return VmfLogNormal(
            direction,
            torch.exp(_between(kappa, self.log_kappa, low, high)),
            log_mean,
            self.magnitude[1] * torch.exp(_spread(spread, LOG_SPREAD)),
        )


class MixtureHead(nn.Module):
    """Outputs to `GaussianMixture`; outputs of 0 give components around the train steps' mean, of their spread.

    Args:
        steps: what to start from.
        n_components: K; 1 is a diagonal Gaussian.
    """

    def __init__(self, steps: StepStatistics, n_components: int) -> None:
        super().__init__()
        self.dim, self.n_components = len(steps.mean), n_components
        self.n_outputs = n_components * (1 + 2 * self.dim)
        # Equal components would stay equal.
        apart = torch.randn(n_components, self.dim) * (0.3 if n_components > 1 else 0.0)
        self.register_buffer("apart", apart)
        self.register_buffer("centre", steps.mean.clone())
        self.register_buffer("std", steps.std.clone())

    def forward(self, outputs: Tensor) -> GaussianMixture:
        """Return the predictions for outputs ``[B, K (1 + 2 D)]``."""
        weight, rest = outputs[:, : self.n_components], outputs[:, self.n_components :]
        centre, spread = rest.unflatten(1, (2, self.n_components, self.dim)).unbind(1)
        centre = self.centre + self.std * (self.apart + REACH * torch.tanh(centre / REACH))
        log_std = logarithm(self.std) + _spread(spread, SPREAD)
        return GaussianMixture(torch.log_softmax(weight, dim=1), centre, log_std)


def _between(raw: Tensor, start: Tensor, low: float, high: float) -> Tensor:
    """Map any number smoothly into (low, high), 0 to ``start``, with slope 1 there."""
    width = high - low
    share = (start - low) / width
    slope = width * share * (1 - share)
    return low + width * torch.sigmoid(torch.logit(share) + raw / slope)


def _spread(raw: Tensor, factors: tuple[float, float]) -> Tensor:
    """Map any number smoothly to the logarithm of a factor between two around 1, 0 to 0."""
    low, high = (math.log(factor) for factor in factors)
    return _between(raw, torch.zeros((), dtype=raw.dtype, device=raw.device), low, high)


FAMILIES = ("vmf", "gaussian", "mdn")
N_COMPONENTS = {"gaussian": 1, "mdn": 8}


def make_head(family: str, steps: StepStatistics) -> VmfHead | MixtureHead:
    """Return the head of a family: ``vmf``, ``gaussian`` (diagonal) or ``mdn`` (8 of them)."""
    return VmfHead(steps) if family == "vmf" else MixtureHead(steps, N_COMPONENTS[family])
