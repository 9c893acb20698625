"""What the speaker encoder is trained for."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.runtime.arithmetic import arc_cosine


class AdditiveMargin(nn.Module):
    """Classifies embeddings by their angle to one direction for each speaker, with a margin against the own one.

    Args:
        n_speakers: classes.
        dim: of the embeddings.
        scale: of the cosines.

    Source: Deng, Guo, Xue and Zafeiriou 2019, ArcFace, eq. 3.
    Differs: an angle that the margin would take past 180 degrees stays there.
    """

    def __init__(self, n_speakers: int, dim: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.directions = nn.Parameter(torch.randn(n_speakers, dim) / math.sqrt(dim))

    def forward(self, embeddings: Tensor, speakers: Tensor, margin: float) -> tuple[Tensor, Tensor]:
        """Return the loss and the share that is classified right.

        Args:
            embeddings: unit vectors [B, dim].
            speakers: int64 [B].
            margin: radians.
        """
        cosines = embeddings @ functional.normalize(self.directions, dim=-1).T
        angles = arc_cosine(cosines.clamp(-1 + 1e-6, 1 - 1e-6))
        widened = torch.cos((angles + margin).clamp(max=math.pi))
        own = functional.one_hot(speakers, cosines.shape[1]).bool()
        loss = functional.cross_entropy(self.scale * torch.where(own, widened, cosines), speakers)
        return loss, (cosines.argmax(dim=1) == speakers).float().mean()
