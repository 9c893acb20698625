"""Settings of codec ``gain_shape``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from soundgate.audio.mdct import WindowName


class Settings(BaseModel):
    """Settings of codec ``gain_shape``.

    Args:
        frame_rate: Hz; 75 gives 128-D latents, 12.5 stacks six sub-frames into 512-D.
        weights: codebooks: ``"builtin"`` (or ``"random"``, the same) fits them on keyed synthetic sound when
            they are first needed; else the path of a file written by ``save_weights``. Latents do not depend
            on them.
        n_codebooks: K; one in four (at least one) holds band energies, the others shapes.
        codebook_size: entries in each codebook.
        n_coefficients: shape coefficients kept in each sub-frame, 1 to 320; null fills 128 or 512 dimensions
            exactly.
        fold_gain: amplitude of the high band copied from the low one: 1 keeps each band's energy, as CELT
            does; 0 leaves it out, which gives the best SI-SDR.
        window: MDCT window.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame_rate: Literal[75, 12.5] = 75
    weights: str = "builtin"
    n_codebooks: int = Field(default=8, ge=2, le=32)
    codebook_size: int = Field(default=256, ge=2, le=1024)
    n_coefficients: int | None = Field(default=None, ge=1, le=320)
    fold_gain: float = Field(default=1.0, ge=0.0, le=1.0)
    window: WindowName = "sine"
