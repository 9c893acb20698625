"""Frames at a level that does not depend on the recording's gain."""

from __future__ import annotations

import math

import numpy as np

from soundgate.tracks.editor.deciding.hearing import active_power
from soundgate.tracks.editor.features import Features


def active_level_db(db: np.ndarray) -> float:
    """Return how loud frames are while the recording sounds: 10 log10 of their active power, summed over the bands.

    Args:
        db: float [F, M], from `soundgate.tracks.editor.features.Features.decibels`.
    """
    return 10 * math.log10(active_power(np.power(10.0, db / 10).sum(axis=1, dtype=np.float64)))


def frames_at_level(features: Features, wav: np.ndarray, level_db: float) -> np.ndarray:
    """Return the frames that a recording has when it is scaled to a level, float32 [F, M] in [0, 1].

    Args:
        features: of the models.
        wav: mono float32 [T], no silence.
        level_db: see `active_level_db`.
    """
    db = features.decibels(wav)
    return features.from_db(db + np.float32(level_db - active_level_db(db)))
