"""Who is measured: the rules, the policy, and what knows nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from soundgate.audio.exact import ExactAudio
from soundgate.tracks.editor.beats import TRACKING_RATE
from soundgate.tracks.editor.deciding.hearing import HOP_S, hear
from soundgate.tracks.editor.editing.inputs import Recording
from soundgate.tracks.editor.editing.models import Models
from soundgate.tracks.editor.editing.pipeline import Deciding, Method, decide
from soundgate.tracks.editor.editing.settings import RenderSettings
from soundgate.tracks.editor.vocabulary import Label

RULES, POLICY, LOUDNESS, KEEP_ALL, CUT_ALL = "rules", "policy", "loudness", "keep all", "cut all"
# What is cut of a recording: mono float32 [T] at 22,050 Hz to spans in samples, int64 [n, 2].
Cutter = Callable[[np.ndarray], np.ndarray]


def cutters(models: Models, settings: RenderSettings, quiet_db: float) -> dict[str, Cutter]:
    """Return everything that is measured, by name.

    Args:
        models: with the policy.
        settings: of `soundgate edit`.
        quiet_db: see `HarmlessSettings`.
    """
    return {
        RULES: partial(by_command, models, settings, "rules"),
        POLICY: partial(by_command, models, settings, "policy"),
        LOUDNESS: partial(by_loudness, quiet_db),
        KEEP_ALL: lambda mono: np.empty((0, 2), np.int64),
        CUT_ALL: lambda mono: np.array([[0, len(mono)]]),
    }


def by_command(models: Models, settings: RenderSettings, method: Method, mono: np.ndarray) -> np.ndarray:
    """Return what `soundgate edit` cuts, with the beats that it tracks itself and no other options."""
    recording = Recording(ExactAudio(mono[None], TRACKING_RATE, "FLOAT"), mono)
    decision = decide(recording, models, settings, deciding=Deciding(method))
    return decision.grid.spans[decision.labels == Label.CUT]


def by_loudness(quiet_db: float, mono: np.ndarray) -> np.ndarray:
    """Return half seconds that are quiet beside the recording's active level."""
    level, length = hear(mono, TRACKING_RATE).level_db, round(0.5 / HOP_S)
    starts = np.arange(0, len(level), length)
    quiet = np.array([level[start : start + length].mean() < -quiet_db for start in starts])
    spans = np.stack([starts, starts + length], axis=1) * round(HOP_S * TRACKING_RATE)
    return np.minimum(spans[quiet], len(mono))
