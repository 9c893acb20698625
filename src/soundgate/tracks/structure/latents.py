"""Parameters of stage ``structure-latents``; the extraction itself is ``soundgate.codecs.extraction``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from soundgate.runtime.config import Section


class LatentsSettings(Section):
    """Section ``structure.latents``."""

    min_duration_s: float = Field(ge=0, description="shorter utterances are skipped and counted")
    dtype: Literal["float32", "bfloat16"] = Field(description="precision of the encoder")
    storage_dtype: Literal["float32", "float16"] = Field(description="precision on disk")
    batch_seconds: float = Field(ge=0, description="audio in a batch, padding included; 0: one utterance each")
