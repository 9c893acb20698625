"""Whether a voice stays the same over a passage."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import nn

from soundgate.tracks.voice.speaking import embedded

_AUDIBLE_DB = -40.0


class Coherence(NamedTuple):
    """How alike a voice is over time.

    Args:
        start_s: float [n], where each audible window begins.
        similarity: float [n], cosine of each with the reference.
    """

    start_s: np.ndarray
    similarity: np.ndarray

    def as_dict(self) -> dict[str, float | int | None]:
        """Return ``mean``, ``spread`` (standard deviation), ``lowest``, ``drift`` and ``n_windows``.

        ``drift`` is the change from the first to the last window along the straight line fitted. None where there
        are too few windows.
        """
        n_windows = len(self.similarity)
        if n_windows < 3:
            return dict.fromkeys(("mean", "spread", "lowest", "drift")) | {"n_windows": n_windows}
        slope = np.polyfit(self.start_s, self.similarity, 1)[0]
        return {
            "mean": float(self.similarity.mean()),
            "spread": float(self.similarity.std(ddof=1)),
            "lowest": float(self.similarity.min()),
            "drift": float(slope * (self.start_s[-1] - self.start_s[0])),
            "n_windows": n_windows,
        }


def coherence(
    encoder: nn.Module, wav: np.ndarray, reference: np.ndarray, sample_rate: int, window_s: float
) -> Coherence:
    """Compare windows that overlap by half with a voice.

    Args:
        encoder: of speakers, [B, T] to [B, D].
        wav: float32 [T].
        reference: float32 [D], unit length.
        sample_rate: Hz.
        window_s: of each window; those more than 40 dB below the loudest one are left out.
    """
    length = round(window_s * sample_rate)
    starts = np.arange(0, len(wav) - length + 1, length // 2)
    windows = [wav[start : start + length] for start in starts]
    powers = np.array([np.mean(np.square(window), dtype=np.float64) for window in windows])
    audible = powers > powers.max(initial=0) * 10 ** (_AUDIBLE_DB / 10)
    heard = [
        float(embedded(encoder, window) @ reference) for window, used in zip(windows, audible, strict=True) if used
    ]
    return Coherence(starts[audible] / sample_rate, np.array(heard))
