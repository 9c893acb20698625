"""The ways to transfer a style, each as a generator of blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from soundgate.tracks.transfer.transferring.bands import spectrum
from soundgate.tracks.transfer.transferring.equaliser import equaliser_gains, filtered, minimum_phase_filter
from soundgate.tracks.transfer.transferring.recordings import BLOCK, Recording
from soundgate.tracks.transfer.transferring.styles import Style

# Of a source, a style, how much of it (0 to 1) and the samples of a block: float32 [t, C] each, as long as the source.
Method = Callable[[Recording, Style, float, int], Iterator[np.ndarray]]


def equalised(source: Recording, style: Style, strength: float, block: int = BLOCK) -> Iterator[np.ndarray]:
    """Give a recording the band levels of a style, by one filter of minimum phase for all channels.

    Args:
        source: the recording.
        style: the style.
        strength: share of each band's gain in dB.
        block: samples that are computed at once; no result depends on it.
    """
    gains = strength * equaliser_gains(spectrum(source.blocks(block), source.rate), style.levels_db)
    yield from filtered(source.blocks(block), minimum_phase_filter(gains, source.rate))


METHODS: dict[str, Method] = {"eq": equalised}
DEFAULT = "eq"
