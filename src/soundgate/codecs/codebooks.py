"""Residual vector quantisation of latents, fitted by weighted k-means under a codec's own metric."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from soundgate.runtime.randomness import keyed_generator

N_ITERATIONS = 6


class Metric(Protocol):
    """How far a code is from a latent."""

    def active(self, stage: int, n_codebooks: int) -> Tensor:
        """Return bool [D], the dimensions that codebook ``stage`` of ``n_codebooks`` codes."""
        ...

    def weights(self, quantised: Tensor) -> Tensor:
        """Return weights [N, D] of squared errors, from what is quantised so far, [N, D]."""
        ...

    def target(self, latents: Tensor, quantised: Tensor) -> Tensor:
        """Return what the codes should add up to, [N, D], from what is quantised so far."""
        ...


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


def fit(latents: Tensor, metric: Metric, n_codebooks: int, codebook_size: int, seed: int, key: str) -> Tensor:
    """Fit all codebooks on example latents; computed in float64, so that threads and machines agree.

    Args:
        latents: float [N, D], N ≥ codebook_size.
        metric: see `Metric`.
        n_codebooks: K.
        codebook_size: M.
        seed: of the initial entries.
        key: of the initial entries, beside the seed.

    Returns:
        float32 [K, M, D]; each codebook is zero in the dimensions that it does not code.

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
        active = metric.active(stage, n_codebooks)
        weights = metric.weights(quantised)[:, active]
        generator = keyed_generator(seed, key, str(stage))
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
