"""Residual vector quantisation of gain and shape latents, fitted by weighted k-means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from soundgate.codecs.gain_shape.layout import Layout
from soundgate.codecs.gain_shape.transform import GAIN_SCALE
from soundgate.runtime.randomness import keyed_generator

N_ITERATIONS = 6


@dataclass(frozen=True)
class Metric:
    """How far a code is from a latent: plain in the gains, weighted by signal energy in the shapes.

    A shape's error times its band's energy is the error in the waveform (the MDCT is orthonormal), and the
    decoder's own quantised gains give that energy.

    Args:
        is_gain: bool [D].
        gain_of: int64 [D].
    """

    is_gain: Tensor
    gain_of: Tensor

    @classmethod
    def of(cls, layout: Layout) -> Metric:
        """Return the metric of a layout."""
        return cls(torch.from_numpy(layout.is_gain), torch.from_numpy(layout.gain_of))

    def weights(self, quantised: Tensor) -> Tensor:
        """Return weights [N, D] from what is quantised so far, [N, D]; of shapes they have mean 1 a frame."""
        is_gain = self.is_gain.to(quantised.device)
        log_energy = 2 * GAIN_SCALE * quantised[:, self.gain_of.to(quantised.device)]
        log_energy = log_energy.masked_fill(is_gain, -torch.inf)
        energy = torch.softmax(log_energy, dim=-1) * (~is_gain).sum()
        return torch.where(is_gain, 1.0, energy)

    def target(self, latents: Tensor, quantised: Tensor) -> Tensor:
        """Return the latents with shapes relative to the quantised gains: shapes then mend gain errors."""
        gain_of = self.gain_of.to(latents.device)
        ratio = torch.exp(GAIN_SCALE * (latents - quantised)[:, gain_of])
        return torch.where(self.is_gain.to(latents.device), latents, latents * ratio)


def n_gain_codebooks(n_codebooks: int) -> int:
    """Return how many of the codebooks, the first ones, hold gains."""
    return max(1, n_codebooks // 4)


def nearest(residual: Tensor, weights: Tensor, codebook: Tensor) -> Tensor:
    """Return int64 [N], the entry of ``codebook`` [M, D] at the least weighted distance from [N, D]."""
    distance = weights @ codebook.square().T - 2 * (weights * residual) @ codebook.T
    return distance.argmin(dim=-1)


def quantise(latents: Tensor, codebooks: Tensor, metric: Metric) -> Tensor:
    """Quantise stage by stage: each codebook codes what the ones before it left.

    Args:
        latents: float [N, D].
        codebooks: float [K, M, D].
        metric: see `Metric`.

    Returns:
        int64 [N, K].

    Source: Juang and Gray 1982 (multistage vector quantisation).
    """
    quantised = torch.zeros_like(latents)
    codes = []
    for codebook in codebooks:
        residual = metric.target(latents, quantised) - quantised
        codes.append(nearest(residual, metric.weights(quantised), codebook))
        quantised = quantised + codebook[codes[-1]]
    return torch.stack(codes, dim=-1)


def dequantise(codes: Tensor, codebooks: Tensor) -> Tensor:
    """Return float [N, D], the sum of the entries that int64 codes [N, K'] name; K' ≤ K."""
    stages = torch.arange(codes.shape[-1], device=codes.device)
    return codebooks[stages, codes].sum(dim=-2)


def fit(latents: Tensor, metric: Metric, n_codebooks: int, codebook_size: int, seed: int) -> Tensor:
    """Fit all codebooks on example latents; computed in float64, so that threads and machines agree.

    Args:
        latents: float [N, D], N ≥ codebook_size.
        metric: see `Metric`.
        n_codebooks: K ≥ 2.
        codebook_size: M.
        seed: of the initial entries.

    Returns:
        float32 [K, M, D]; gain codebooks are zero in the shapes and the other way round.

    Raises:
        ValueError: fewer latents than entries.

    Source: Lloyd 1982; with weights w a centroid is Σ w r / Σ w in each dimension.
    """
    if len(latents) < codebook_size:
        raise ValueError(f"latents: expected at least {codebook_size} frames to fit on, found {len(latents)}")
    latents = latents.double().cpu()
    quantised = torch.zeros_like(latents)
    codebooks = torch.zeros(n_codebooks, codebook_size, latents.shape[1], dtype=torch.float64)
    for stage, codebook in enumerate(codebooks):
        active = metric.is_gain if stage < n_gain_codebooks(n_codebooks) else ~metric.is_gain
        weights = metric.weights(quantised)[:, active]
        generator = keyed_generator(seed, "gain-shape-codebooks", str(stage))
        residual = (metric.target(latents, quantised) - quantised)[:, active]
        entries = _weighted_kmeans(residual, weights, codebook_size, generator)
        codebook[:, active] = entries
        quantised[:, active] += entries[nearest(residual, weights, entries)]
    return codebooks.float()


def _weighted_kmeans(residual: Tensor, weights: Tensor, size: int, generator: np.random.Generator) -> Tensor:
    chosen = generator.choice(len(residual), size=size, replace=False)
    entries = residual[torch.from_numpy(chosen)].clone()
    for _ in range(N_ITERATIONS):
        assigned = nearest(residual, weights, entries)
        total = torch.zeros_like(entries).index_add_(0, assigned, weights)
        summed = torch.zeros_like(entries).index_add_(0, assigned, weights * residual)
        # An entry nobody chose keeps its place.
        entries = torch.where(total > 0, summed / total, entries)
    return entries
