"""The Power Spherical distribution of directions in many dimensions.

Source: De Cao & Aziz 2020, "The Power Spherical distribution".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from soundgate.tracks.structure.dynamics.vmf import around

# Cosines are kept this far from -1, where the density is 0.
OPPOSITE = 1e-9


def log_density(cosine: Tensor, kappa: Tensor, dim: int) -> Tensor:
    """Return the logarithm of the density C (1 + mu . u)^kappa on the unit sphere.

    Args:
        cosine: mu . u, float64.
        kappa: concentration, float64, positive.
        dim: D, at least 2.
    """
    beta = (dim - 1) / 2
    alpha = beta + kappa
    log_c = -(alpha + beta) * math.log(2) - beta * math.log(math.pi) - torch.lgamma(alpha) + torch.lgamma(alpha + beta)
    return log_c + kappa * torch.log1p(cosine.clamp(min=OPPOSITE - 1))


def mean_resultant(kappa: Tensor, dim: int) -> Tensor:
    """Return the expected cosine to the mean direction."""
    return kappa / (dim - 1 + kappa)


def concentration(resultant: Tensor, dim: int) -> Tensor:
    """Return the concentration whose directions have this expected cosine, in [0, 1)."""
    return (dim - 1) * resultant / (1 - resultant)


def sample(mean: Tensor, kappa: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw one direction for each mean direction.

    Args:
        mean: unit vectors ``[B, D]``.
        kappa: concentrations ``[B]``, positive.
        generator: of the draws; None for PyTorch's own.

    Returns:
        Unit vectors ``[B, D]``, in the precision of ``mean``.
    """
    beta = torch.full_like(kappa.double(), (mean.shape[1] - 1) / 2)
    first, second = (torch._standard_gamma(a, generator=generator) for a in (beta + kappa.double(), beta))
    return around(mean, 2 * first / (first + second) - 1, generator)
