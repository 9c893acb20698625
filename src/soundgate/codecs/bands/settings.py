"""Settings of codec ``bands``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from soundgate.audio.mdct import WindowName


class Settings(BaseModel):
    """Settings of codec ``bands``.

    Args:
        frame_rate: Hz; at 12.5 a band's energy is the mean over six sub-frames.
        weights: codebooks: ``"builtin"`` (or ``"random"``, the same) fits them on keyed synthetic sound when
            they are first needed; else the path of a file written by ``save_weights``. Latents do not depend
            on them.
        n_codebooks: K.
        codebook_size: entries in each codebook.
        window: MDCT window.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame_rate: Literal[75, 12.5] = 75
    weights: str = "builtin"
    n_codebooks: int = Field(default=8, ge=1, le=32)
    codebook_size: int = Field(default=256, ge=2, le=1024)
    window: WindowName = "sine"
