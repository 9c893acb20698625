"""Functions that give the same bytes on processors of every maker.

MKL's branch that all makers share (`soundgate.runtime.instructions`) begins square roots, logarithms in float64 and
of other bases, and inverse trigonometric functions with an approximate instruction, which each maker builds in its own
way; PyTorch's functions of the same names call it. These are made of functions that do not.
`benchmarks/instruction_sets.py` looks at the bytes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def square_root(values: Tensor) -> Tensor:
    """Return the square roots of numbers that are at least 0, of any shape; the gradient at 0 is 1."""
    return values * torch.where(values > 0, values, 1.0).rsqrt()


def logarithm(values: Tensor) -> Tensor:
    """Return natural logarithms of positive numbers, of any shape."""
    if values.dtype == torch.float32:
        return values.log()
    share, exponent = torch.frexp(values.detach())
    below = share < math.sqrt(0.5)
    scale = torch.where(below, 2 * share, share) / values.detach()  # Powers of 2: from sqrt(1/2) to sqrt(2).
    return (exponent.to(values.dtype) - below.to(values.dtype)) * math.log(2) + torch.log1p(values * scale - 1)


def decibels(power: Tensor) -> Tensor:
    """Return 10 log10 of positive numbers, of any shape."""
    return 10 / math.log(10) * logarithm(power)


def log_sum_exp(values: Tensor, dim: int) -> Tensor:
    """Return the logarithms of sums of exponentials over a dimension, which goes; none infinite."""
    largest = values.amax(dim, keepdim=True).detach()
    return largest.squeeze(dim) + logarithm(torch.exp(values - largest).sum(dim))


def arc_cosine(cosines: Tensor) -> Tensor:
    """Return angles in radians of cosines inside (-1, 1), of any shape."""
    return torch.atan2(square_root((1 - cosines) * (1 + cosines)), cosines)
