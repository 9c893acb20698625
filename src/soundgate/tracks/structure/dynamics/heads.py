"""Small maps from a linear prediction and a network's outputs to a density of the step.

The linear prediction goes straight into each head: outputs of 0 say what the linear model says, in the head's family.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from soundgate.runtime.arithmetic import logarithm, square_root
from soundgate.tracks.structure.dynamics.families import (
    KAPPA,
    DirectionLogNormal,
    GaussianMixture,
    PowerSphericalLogNormal,
    VmfLogNormal,
)

# Bounds of what a network says, in standard deviations of the linear model's errors: centres this far out, spreads
# between these factors. Magnitudes are kept closer: they are exponentials, and a run that draws them has to come back
# from where it strayed.
REACH, SPREAD = 6.0, (0.05, 5.0)
LOG_REACH, LOG_SPREAD = 3.0, (0.05, 1.5)


class DirectionHead(nn.Module):
    """Outputs to `DirectionLogNormal`: D of direction, then one each of concentration, log mean and log spread.

    Steps are scaled by the linear model's errors. Where it expects c and its errors are Gaussian, the step's length is
    about l = sqrt(|c|^2 + D), and its expected cosine to c is |c| / l: there the outputs start from. All but the
    direction are bounded by smooth maps, so that no gradient ends at a bound.

    Args:
        family: what the outputs make.
        scale: standard deviations of the linear model's errors ``[D]``.
        magnitude: mean and standard deviation of log m - log l of train steps; see `log_lengths`.
    """

    def __init__(self, family: type[DirectionLogNormal], scale: Tensor, magnitude: tuple[float, float]) -> None:
        super().__init__()
        self.family, self.dim = family, len(scale)
        self.n_outputs = self.dim + 3
        self.register_buffer("scale", scale)
        self.register_buffer("magnitude", torch.tensor(magnitude, dtype=torch.float64))

    def forward(self, outputs: Tensor, expected: Tensor) -> DirectionLogNormal:
        """Return the predictions for outputs ``[B, D + 3]`` and the linear model's steps ``[B, D]``."""
        centre = expected / self.scale
        direction = nn.functional.normalize(centre + outputs[:, : self.dim], dim=1)
        kappa, mean, spread = outputs[:, self.dim :].double().unbind(1)
        log_length = log_lengths(centre)
        resultant = (centre.double().norm(dim=1) * torch.exp(-log_length)).clamp(1e-6, 1 - 1e-9)
        low, high = (math.log(k) for k in KAPPA)
        start = logarithm(self.family.directions.concentration(resultant, self.dim)).clamp(low + 1, high - 1)
        log_mean = log_length + self.magnitude[0] + self.magnitude[1] * LOG_REACH * torch.tanh(mean / LOG_REACH)
        return self.family(
            self.scale,
            direction,
            torch.exp(_between(kappa, start, low, high)),
            log_mean,
            self.magnitude[1] * torch.exp(_spread(spread, LOG_SPREAD)),
        )


class MixtureHead(nn.Module):
    """Outputs to `GaussianMixture`; outputs of 0 give components around the linear prediction, of its errors' spread.

    Args:
        scale: standard deviations of the linear model's errors ``[D]``.
        n_components: K; 1 is a diagonal Gaussian.
    """

    def __init__(self, scale: Tensor, n_components: int) -> None:
        super().__init__()
        self.dim, self.n_components = len(scale), n_components
        self.n_outputs = n_components * (1 + 2 * self.dim)
        # Equal components would stay equal.
        self.register_buffer("apart", torch.randn(n_components, self.dim) * (0.3 if n_components > 1 else 0.0))
        self.register_buffer("scale", scale)

    def forward(self, outputs: Tensor, expected: Tensor) -> GaussianMixture:
        """Return the predictions for outputs ``[B, K (1 + 2 D)]`` and the linear model's steps ``[B, D]``."""
        weight, rest = outputs[:, : self.n_components], outputs[:, self.n_components :]
        centre, spread = rest.unflatten(1, (2, self.n_components, self.dim)).unbind(1)
        centre = expected[:, None] + self.scale * (self.apart + REACH * torch.tanh(centre / REACH))
        return GaussianMixture(
            torch.log_softmax(weight, dim=1), centre, logarithm(self.scale) + _spread(spread, SPREAD)
        )


def log_lengths(centre: Tensor) -> Tensor:
    """Return log sqrt(|c|^2 + D) of scaled expected steps ``[B, D]``, float64 ``[B]``."""
    return logarithm(square_root(centre.double().square().sum(1) + centre.shape[1]))


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


DIRECTIONS = {"vmf": VmfLogNormal, "power_spherical": PowerSphericalLogNormal}
N_COMPONENTS = {"gaussian": 1, "mdn": 8}


def make_head(family: str, scale: Tensor, magnitude: tuple[float, float]) -> DirectionHead | MixtureHead:
    """Return the head of a family: ``vmf``, ``power_spherical``, ``gaussian`` (diagonal) or ``mdn`` (8 of them)."""
    if family in DIRECTIONS:
        return DirectionHead(DIRECTIONS[family], scale, magnitude)
    return MixtureHead(scale, N_COMPONENTS[family])
