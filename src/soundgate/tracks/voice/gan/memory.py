"""Embeddings of past batches, so that there are negatives enough in a small one."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class EmbeddingMemory(nn.Module):
    """The last so many embeddings; its buffers are part of a checkpoint.

    Source: He et al. 2020, "Momentum contrast", section 3.1 (a queue of past embeddings).

    Args:
        size: embeddings kept.
        n_embedding: width D.
    """

    def __init__(self, size: int, n_embedding: int) -> None:
        super().__init__()
        self.register_buffer("embeddings", torch.zeros(size, n_embedding))
        self.register_buffer("speakers", torch.full((size,), -1))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def add(self, embeddings: Tensor, speakers: Tensor) -> None:
        """Put embeddings [B, D] of speakers int64 [B] in the places of the oldest."""
        places = (self.place + torch.arange(len(speakers), device=self.place.device)) % len(self.speakers)
        self.embeddings[places], self.speakers[places] = embeddings.detach().float(), speakers
        self.place.copy_((self.place + len(speakers)) % len(self.speakers))
