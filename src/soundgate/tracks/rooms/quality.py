"""Which triples are not fit to learn from."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from soundgate.runtime.config import Section

CLIPPED_LEVEL = 0.999


class QualitySettings(Section):
    """Limits of a triple.

    Args:
        min_rms: of source and of target, at peak 1.
        max_clipped_share: of samples at full scale, of source and of target.
    """

    min_rms: float = Field(ge=0)
    max_clipped_share: float = Field(ge=0, le=1)


def reject_reason(source: np.ndarray, target: np.ndarray, settings: QualitySettings) -> str | None:
    """Return why a triple must not be used, or None.

    Args:
        source: float32 ``[T]``, peak 1.
        target: float32 ``[T]``, peak 1.
        settings: see `QualitySettings`.
    """
    for name, wav in (("source", source), ("target", target)):
        rms = float(np.sqrt(np.mean(np.square(wav), dtype=np.float64)))
        if not np.isfinite(rms):
            return f"{name}: not finite"
        if rms < settings.min_rms:
            return f"{name}: silent"
        clipped = np.count_nonzero(np.abs(wav) >= CLIPPED_LEVEL) / wav.size
        if clipped > settings.max_clipped_share:
            return f"{name}: clipped"
    return None
