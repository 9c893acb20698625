"""Settings of codec ``mimi``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from soundgate.runtime.pins import Commit, Sha256


class Settings(BaseModel):
    """Settings of codec ``mimi``.

    Args:
        weights: ``"hub"`` (kyutai/moshiko-pytorch-bf16), ``"random"`` (tests: untrained, the same every time), or
            the path of a file.
        revision: commit on the hub. Ignored, like ``sha256``, where weights are not from there.
        sha256: of the file with the weights; null trusts the commit alone, with a warning.
        latent_space: ``"encoder"``: encoder, encoder transformer, downsampling; ``"projected"``: that,
            through both quantisers' input and output projections, summed, without quantising.
        n_codebooks: K, of the model's 32; the first one is the semantic one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = "hub"
    revision: Commit = "2bfc9ae6e89079a5cc7ed2a68436010d91a3d289"
    sha256: Sha256 | None = "09b782f0629851a271227fb9d36db65c041790365f11bbe5d3d59369cf863f50"
    latent_space: Literal["encoder", "projected"] = "encoder"
    n_codebooks: int = Field(default=8, ge=1, le=32)
