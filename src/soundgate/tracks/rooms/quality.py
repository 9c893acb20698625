"""Which triples are not fit to learn from."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from soundgate.runtime.config import Section

CLIPPED_LEVEL = 0.999  # Of the peak.


class QualitySettings(Section):
    """Limits of a triple.

    Args:
        min_rms: of source and of target, against their peak.
        max_clipped_share: of samples at their peak, of source and of target.
    """

    min_rms: float = Field(ge=0)
    max_clipped_share: float = Field(ge=0, le=1)


def reject_reason(source: np.ndarray, target: np.ndarray, settings: QualitySettings) -> str | None:
    """Return why a triple must not be used, or None.

    Args:
        source: float32 ``[T]``, of any level.
        target: float32 ``[T]``, of any level.
        settings: see `QualitySettings`.
    """
    for name, wav in (("source", source), ("target", target)):
        rms = float(np.sqrt(np.mean(np.square(wav), dtype=np.float64)))
        if not np.isfinite(rms):
            return f"{name}: not finite"
        peak = float(np.abs(wav).max())
        if peak == 0 or rms < settings.min_rms * peak:
            return f"{name}: silent"
        clipped = np.count_nonzero(np.abs(wav) >= CLIPPED_LEVEL * peak) / wav.size
        if clipped > settings.max_clipped_share:
            return f"{name}: clipped"
    return None
