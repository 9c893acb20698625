"""The eight labels a beat of raw audio can have."""

from __future__ import annotations

from enum import IntEnum


class Label(IntEnum):
    """What an edit does with a beat; the values are the seed's."""

    CUT = 0
    KEEP = 1
    LOOP = 2
    FADE_IN = 3
    FADE_OUT = 4
    EFFECT = 5
    TRANSITION = 6
    PAD = 7


# PAD fills batches; no beat of a recording has it.
BEAT_LABELS = tuple(label for label in Label if label is not Label.PAD)
