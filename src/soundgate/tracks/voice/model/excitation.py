"""What a voice's filter is excited by: harmonics of a fundamental, and noise that does not change between runs."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from soundgate.runtime.arithmetic import square_root
from soundgate.runtime.randomness import keyed_seed

# Below this |sin| the closed form of the harmonics' sum is its limit.
_NEAR_ZERO = 1e-4


def frame_phases(f0: Tensor, hop_length: int, sample_rate: int) -> Tensor:
    """Return each frame's phase in cycles [0, 1): the integral of the fundamental from the first frame.

    Args:
        f0: float32 [B, L] in Hz, 0 where unvoiced.
        hop_length: samples from frame to frame.
        sample_rate: Hz.

    Returns:
        float32 [B, L].
    """
    first, second = _ends(f0.cpu().double())
    cycles = torch.cumsum((first + second) * (0.5 * hop_length / sample_rate), dim=1)
    return torch.nn.functional.pad(cycles, (1, 0)).frac().float().to(f0.device)


def harmonics(f0: Tensor, phases: Tensor, hop_length: int, sample_rate: int) -> Tensor:
    """Return all harmonics of a fundamental up to half the sample rate, equally strong, with continuous phases.

    Between two voiced frames the fundamental runs straight; towards an unvoiced one the harmonics fade.

    Args:
        f0: float32 [B, L] in Hz, 0 where unvoiced.
        phases: float32 [B, L] from `frame_phases`.
        hop_length: samples from frame to frame.
        sample_rate: Hz.

    Returns:
        float32 [B, (L - 1) · hop_length], of power 1 where voiced.

    Source: Wang, Takaki and Yamagishi 2019, neural source-filter models, eq. 2 to 4.
    Differs: the sum of cosines has its closed form (the Dirichlet kernel) instead of eight sines, and the strength of
        the highest harmonic falls continuously where it crosses half the sample rate.
    """
    first, second = (ends[..., None] for ends in _ends(f0))
    time = torch.arange(hop_length, device=f0.device, dtype=f0.dtype)
    slope = (second - first) / hop_length
    frequency = (first + slope * time).clamp(min=1.0)
    phase = phases[:, :-1, None] + (first + 0.5 * slope * time) * time / sample_rate
    voiced = (f0 > 0).to(f0.dtype)
    strength = torch.lerp(voiced[:, :-1, None], voiced[:, 1:, None], time / hop_length)
    n_harmonics = 0.5 * sample_rate / frequency - 0.5
    wave = _cosines(phase.frac(), n_harmonics) * strength * square_root(2 / n_harmonics.clamp(min=1.0))
    return wave.flatten(1)


def _cosines(phase: Tensor, count: Tensor) -> Tensor:
    """Return the sum of cos(2π k phase) for k from 1 to ``count``, the last one by its share."""
    whole = count.floor()
    half = torch.sin(math.pi * phase)
    near = half.abs() < _NEAR_ZERO
    kernel = torch.sin((2 * whole + 1) * math.pi * phase) / torch.where(near, torch.ones_like(half), half)
    total = torch.where(near, whole, 0.5 * kernel - 0.5)
    return total + (count - whole) * torch.cos(2 * math.pi * (whole + 1) * phase)


def _ends(f0: Tensor) -> tuple[Tensor, Tensor]:
    """Return the fundamental at both ends of every hop, that of the voiced end where the other is not."""
    left, right = f0[:, :-1], f0[:, 1:]
    return torch.where(left > 0, left, right), torch.where(right > 0, right, left)


def noise(start: int, n_samples: int) -> Tensor:
    """Return white noise of power 1 that depends on nothing but the position.

    Args:
        start: first sample, a multiple of 4.
        n_samples: how many.

    Returns:
        float32 [n_samples].

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox, whose counter is the position).
    """
    assert start % 4 == 0, start
    bits = np.random.Philox(key=keyed_seed(0, "voice", "excitation"), counter=start // 4)
    uniform = np.random.Generator(bits).random(n_samples)
    return torch.from_numpy((uniform - 0.5) * math.sqrt(12)).float()
