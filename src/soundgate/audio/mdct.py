"""The modified discrete cosine transform on frames centred on their hop, inverted exactly to the edges."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

WindowName = Literal["sine", "vorbis"]


def mdct_window(hop_length: int, window: WindowName = "sine", dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a symmetric power-complementary window, w[n]² + w[n + hop]² = 1.

    Args:
        hop_length: half the window, in samples.
        window: ``"sine"`` (best coding gain for tones) or ``"vorbis"`` (CELT's, better far rejection).
        dtype: of the result.

    Returns:
        float [2 · hop_length] in (0, 1].

    Source: Princen and Bradley 1986, eq. 11 (condition); Valin et al. 2012, RFC 6716 section 4.3.7 (Vorbis).
    """
    phase = (torch.arange(2 * hop_length, dtype=torch.float64) + 0.5) * math.pi / (2 * hop_length)
    curve = torch.sin(phase)
    if window == "vorbis":
        curve = torch.sin(curve.square() * (math.pi / 2))
    return curve.to(dtype)


def mdct_basis(hop_length: int, window: WindowName = "sine", dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the windowed, orthonormal MDCT basis as one matrix, so that a transform is one product.

    Args:
        hop_length: N, the number of coefficients and the hop; even.
        window: see `mdct_window`.
        dtype: of the result; computed in float64.

    Returns:
        float [2N, N]: w[n] √(2/N) cos(π/N (n + ½ + N/2)(k + ½)).

    Raises:
        ValueError: an odd or non-positive hop.

    Source: Princen, Johnson and Bradley 1987, eq. 1 (TDAC), scaled to be orthonormal.
    """
    if hop_length < 2 or hop_length % 2:
        raise ValueError(f"hop_length: expected an even number of at least 2, found {hop_length}")
    n = torch.arange(2 * hop_length, dtype=torch.float64)[:, None]
    k = torch.arange(hop_length, dtype=torch.float64)
    cosine = torch.cos((math.pi / hop_length) * (n + 0.5 + hop_length / 2) * (k + 0.5))
    curve = mdct_window(hop_length, window, torch.float64)[:, None]
    return (curve * cosine * math.sqrt(2 / hop_length)).to(dtype)


def mdct(wav: Tensor, basis: Tensor) -> Tensor:
    """Transform a signal into one row of coefficients a hop.

    Frame t is centred on hop t: it sees samples [tN − N/2, (t + 1)N + N/2), that is half a hop before and
    half a hop after its own. Outside the signal there are zeros, so appended zeros change no earlier frame.

    Args:
        wav: float [..., L · N], a whole number of hops.
        basis: float [2N, N] from `mdct_basis`.

    Returns:
        float [..., L, N].

    Raises:
        ValueError: a length that is not a whole number of hops.
    """
    hop_length = basis.shape[1]
    if wav.shape[-1] == 0 or wav.shape[-1] % hop_length:
        raise ValueError(f"wav: expected whole hops of {hop_length} samples, found {wav.shape[-1]} samples")
    padded = functional.pad(wav, (hop_length // 2, hop_length // 2))
    return padded.unfold(-1, 2 * hop_length, hop_length) @ basis


def imdct(coefficients: Tensor, basis: Tensor) -> Tensor:
    """Invert `mdct` exactly: overlap-add, divided by the summed squared window.

    Inside the signal that sum is 1 (aliasing cancels between neighbours). In the first and last half hop
    there is no neighbour, but its part of the signal is known to be zero, so the only alias is zero and
    dividing by w² (between ½ and 1) restores the samples: L frames give back all of L hops.

    Args:
        coefficients: float [..., L, N].
        basis: float [2N, N], the one used by `mdct`.

    Returns:
        float [..., L · N]; linear in the coefficients and differentiable.

    Source: Princen, Johnson and Bradley 1987 (TDAC).
    Differs: the end half hops are divided by w² instead of needing an L + 1st frame; errors made in the
        coefficients are amplified there by at most √2.
    """
    hop_length = basis.shape[1]
    leading, n_frames = coefficients.shape[:-2], coefficients.shape[-2]
    summed = _overlap_add((coefficients @ basis.T).reshape(-1, n_frames, 2 * hop_length))
    # Each row of an orthonormal windowed basis has w² as its squared norm.
    power = basis.square().sum(1)
    envelope = _overlap_add(power.expand(1, n_frames, -1))
    inside = slice(hop_length // 2, hop_length // 2 + n_frames * hop_length)
    return (summed[:, inside] / envelope[:, inside]).reshape(*leading, n_frames * hop_length)


def _overlap_add(frames: Tensor) -> Tensor:
    """Sum [B, L, 2N] at steps of N into [B, (L + 1) · N]."""
    first, second = frames.chunk(2, dim=-1)
    summed = functional.pad(first, (0, 0, 0, 1)) + functional.pad(second, (0, 0, 1, 0))
    return summed.flatten(1)
