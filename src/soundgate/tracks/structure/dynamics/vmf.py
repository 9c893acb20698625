"""The von Mises-Fisher distribution of directions in many dimensions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from soundgate.runtime.arithmetic import logarithm, square_root
from soundgate.tracks.structure.dynamics.bessel import log_iv_and_ratio


class _LogNormaliser(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kappa: Tensor, dim: int) -> Tensor:
        order = dim / 2 - 1
        log_i, ratio = log_iv_and_ratio(order, kappa)
        ctx.save_for_backward(ratio)
        return order * logarithm(kappa) - 0.5 * dim * math.log(2 * math.pi) - log_i

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (ratio,) = ctx.saved_tensors
        return -grad * ratio, None


def log_normaliser(kappa: Tensor, dim: int) -> Tensor:
    """Return log C_D(kappa), so that the density on the unit sphere is exp(log C + kappa mu . u).

    Args:
        kappa: concentration, float64, positive.
        dim: D, at least 2.

    Returns:
        float64; its gradient is -A_D(kappa), see `mean_resultant`.

    Source: Mardia & Jupp 2000, eq. 9.3.4.
    """
    return _LogNormaliser.apply(kappa, dim)


def log_density(cosine: Tensor, kappa: Tensor, dim: int) -> Tensor:
    """Return the logarithm of the density on the unit sphere, of directions with given cosines to the mean one."""
    return log_normaliser(kappa, dim) + kappa * cosine


def mean_resultant(kappa: Tensor, dim: int) -> Tensor:
    """Return A_D(kappa) = I_{D/2}(kappa) / I_{D/2 - 1}(kappa), the expected cosine to the mean direction."""
    return log_iv_and_ratio(dim / 2 - 1, kappa)[1]


def concentration(resultant: Tensor, dim: int) -> Tensor:
    """Return the concentration whose directions have this expected cosine, in [0, 1), approximately.

    Source: Banerjee et al. 2005, eq. 4.4.
    """
    return resultant * (dim - resultant.square()) / (1 - resultant.square())


def sample(mean: Tensor, kappa: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw one direction for each mean direction.

    Args:
        mean: unit vectors ``[B, D]``.
        kappa: concentrations ``[B]``, positive.
        generator: of the draws; None for PyTorch's own.

    Returns:
        Unit vectors ``[B, D]``, in the precision of ``mean``.

    Source: Wood 1994, algorithm VM*.
    """
    return around(mean, _cosines(kappa.double(), mean.shape[1], generator), generator)


def around(mean: Tensor, cosine: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw directions with given cosines ``[B]`` to mean directions ``[B, D]``, each way off them as likely."""
    cosine = cosine[:, None]
    tangent = torch.randn(mean.shape, generator=generator, dtype=torch.float64, device=mean.device)
    axis = mean.double()
    tangent = tangent - (tangent * axis).sum(1, keepdim=True) * axis
    tangent = tangent / tangent.norm(dim=1, keepdim=True)
    return (cosine * axis + square_root((1 - cosine**2).clamp(min=0)) * tangent).to(mean.dtype)


def _cosines(kappa: Tensor, dim: int, generator: torch.Generator | None) -> Tensor:
    """Draw the cosines to the mean direction, by rejection ``[B]``."""
    b = (dim - 1) / (2 * kappa + square_root(4 * kappa**2 + (dim - 1) ** 2))
    x0 = (1 - b) / (1 + b)
    # 1 - x0^2 = 4 b / (1 + b)^2, without what cancels where b is small.
    c = kappa * x0 + (dim - 1) * logarithm(4 * b / (1 + b) ** 2)
    drawn, left = torch.empty_like(kappa), torch.ones_like(kappa, dtype=torch.bool)
    while left.any():
        rows = left.nonzero().squeeze(1)
        z = _beta(len(rows), (dim - 1) / 2, kappa.device, generator)
        w = (1 - (1 + b[rows]) * z) / (1 - (1 - b[rows]) * z)
        u = torch.rand(len(rows), generator=generator, dtype=torch.float64, device=kappa.device)
        taken = kappa[rows] * w + (dim - 1) * torch.log1p(-x0[rows] * w) - c[rows] >= logarithm(u)
        drawn[rows[taken]] = w[taken]
        left[rows[taken]] = False
    return drawn


def _beta(n: int, a: float, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Draw from Beta(a, a), 2 a whole, as the share of a squared normal vector of 4 a entries: float64 ``[n]``."""
    half = round(2 * a)
    square = torch.randn(n, 2, half, generator=generator, dtype=torch.float64, device=device).square().sum(2)
    return square[:, 0] / square.sum(1)
