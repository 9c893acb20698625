"""Settings of codec ``encodec``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Settings of codec ``encodec``.

    Args:
        weights: ``"hub"`` (Meta's own address), ``"random"`` (tests: untrained, the same every time), or the
            path of a file.
        n_codebooks: K, of the model's 32; 8 are 6 kbit/s.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str = "hub"
    n_codebooks: int = Field(default=8, ge=1, le=32)
