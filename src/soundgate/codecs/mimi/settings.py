"""Settings of codec ``mimi``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Settings of codec ``mimi``.

    Args:
        weights: ``"hub"``, ``"random"`` (tests: untrained, the same every time), or the path of a file.
        latent_space: ``"encoder"``: encoder, encoder transformer, downsampling; ``"projected"``: that,
            through both quantisers' input and output projections, summed, without quantising.
        n_codebooks: K, of the model's 32; the first one is the semantic one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = "hub"
    latent_space: Literal["encoder", "projected"] = "encoder"
    n_codebooks: int = Field(default=8, ge=1, le=32)
