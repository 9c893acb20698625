"""The modified Bessel function of the first kind at any order, by logarithm: it over- and underflows otherwise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from soundgate.runtime.arithmetic import logarithm, square_root

# From this order on five terms of the expansion leave less than 1e-11 of the function.
LARGE_ORDER = 64


def log_iv_and_ratio(order: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return log I_order(x) and I_{order + 1}(x) / I_order(x).

    Both come from the uniform expansion at a large order, brought down by the recurrence of the ratios, which is
    stable downwards: r_v = 1 / (2 (v + 1) / x + r_{v + 1}) and log I_v = log I_{v + 1} - log r_v.

    Args:
        order: at least 0.
        x: float64, positive, any shape.

    Returns:
        Two float64 tensors of the shape of ``x``; no gradient flows through them.

    Source: DLMF 10.41.3 (uniform expansion, Debye's polynomials of 10.41.10) and 10.29.1 (recurrence).
    """
    with torch.no_grad():
        lifts = max(0, math.ceil(LARGE_ORDER - order))
        top = order + lifts
        log_i = _log_iv_large(top, x)
        ratio = torch.exp(_log_iv_large(top + 1, x) - log_i)
        for v in (order + i for i in reversed(range(lifts))):
            ratio = 1 / (2 * (v + 1) / x + ratio)
            log_i = log_i - logarithm(ratio)
        return log_i, ratio


def _log_iv_large(order: float, x: Tensor) -> Tensor:
    z = x / order
    root = square_root(1 + z * z)
    t = 1 / root
    eta = root + logarithm(z) - torch.log1p(root)
    t2 = t * t
    u1 = t * (3 - 5 * t2) / 24
    u2 = t2 * (81 + t2 * (-462 + 385 * t2)) / 1152
    u3 = t * t2 * (30375 + t2 * (-369603 + t2 * (765765 - 425425 * t2))) / 414720
    u4 = t2 * t2 * (4465125 + t2 * (-94121676 + t2 * (349922430 + t2 * (-446185740 + 185910725 * t2)))) / 39813120
    u5 = t * t2 * t2 * (
        1519035525 + t2 * (-49286948607 + t2 * (284499769554 + t2 * (-614135872350
        + t2 * (566098157625 - 188699385875 * t2))))
    ) / 6688604160  # fmt: skip
    series = (u1 + (u2 + (u3 + (u4 + u5 / order) / order) / order) / order) / order
    return order * eta - 0.5 * logarithm(2 * math.pi * order * root) + torch.log1p(series)
