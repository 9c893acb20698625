"""Settings of codec ``encodec``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from soundgate.runtime.pins import Sha256


class Settings(BaseModel):
    """Settings of codec ``encodec``.

    Args:
        weights: ``"hub"`` (Meta's own address), ``"random"`` (tests: untrained, the same every time), or the
            path of a file.
        sha256: of Meta's file. Ignored where weights are not from there.
        n_codebooks: K, of the model's 32; 8 are 6 kbit/s.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = "hub"
    sha256: Sha256 = "d7cc33bcf1aad7f2dad9836f36431530744abeace3ca033005e3290ed4fa47bf"
    n_codebooks: int = Field(default=8, ge=1, le=32)
