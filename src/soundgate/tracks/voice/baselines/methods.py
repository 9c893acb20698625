"""The conversion methods that need no training, by name."""

from __future__ import annotations

from soundgate.tracks.voice.baselines.contract import Method
from soundgate.tracks.voice.baselines.knn import NearestNeighbours
from soundgate.tracks.voice.baselines.world import WorldEnvelope, WorldF0

WORLD_F0, WORLD_ENV, KNN = WorldF0.name, WorldEnvelope.name, NearestNeighbours.name
BASELINES = (WORLD_F0, WORLD_ENV, KNN)


def baseline_methods(sample_rate: int) -> dict[str, Method]:
    """Return a method for each of ``BASELINES``.

    Args:
        sample_rate: Hz, of what they convert, 16,000 at least.
    """
    return {own.name: own(sample_rate) for own in (WorldF0, WorldEnvelope, NearestNeighbours)}
