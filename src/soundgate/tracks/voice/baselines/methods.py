"""The conversion methods that need no training, by name."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from soundgate.tracks.voice.baselines.contract import Method
from soundgate.tracks.voice.baselines.knn import NearestNeighbours
from soundgate.tracks.voice.baselines.transport import WorldTransport
from soundgate.tracks.voice.baselines.vocoder import Analysis, Vocoder
from soundgate.tracks.voice.baselines.world import F0_MAX_HZ, F0_MIN_HZ, WorldEnvelope, WorldF0

WORLD_F0, WORLD_ENV, WORLD_OT, KNN = WorldF0.name, WorldEnvelope.name, WorldTransport.name, NearestNeighbours.name
BASELINES = (WORLD_F0, WORLD_ENV, WORLD_OT, KNN)
# Recordings whose analyses are kept, each 30 MB for every 20 s.
_REMEMBERED = 16


def baseline_methods(sample_rate: int) -> dict[str, Method]:
    """Return a method for each of ``BASELINES``, which share the analyses of the last recordings.

    Args:
        sample_rate: Hz, of what they convert, 16,000 at least.
    """
    vocoder = Remembering(sample_rate, F0_MIN_HZ, F0_MAX_HZ)
    methods = (WorldF0, WorldEnvelope, WorldTransport, NearestNeighbours)
    return {own.name: own(sample_rate, vocoder=vocoder) for own in methods}


class Remembering(Vocoder):
    """A vocoder that analyses a recording once for several methods."""

    def __init__(self, sample_rate: int, f0_min_hz: float, f0_max_hz: float) -> None:
        super().__init__(sample_rate, f0_min_hz, f0_max_hz)
        self._last: OrderedDict[bytes, Analysis] = OrderedDict()

    def analyse(self, wav: np.ndarray) -> Analysis:
        """Return F0, envelope and aperiodicity; see `Vocoder.analyse`."""
        key = wav.tobytes()
        if key not in self._last:
            self._last[key] = super().analyse(wav)
        self._last.move_to_end(key)
        while len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        return self._last[key]
