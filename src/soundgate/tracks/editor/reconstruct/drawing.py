"""Label sequences that nobody meant, with what they make of a recording."""

from __future__ import annotations

import numpy as np

from soundgate.tracks.editor.cache import CachedPair
from soundgate.tracks.editor.edit_list import Tone
from soundgate.tracks.editor.features import Features
from soundgate.tracks.editor.grid import plays_of
from soundgate.tracks.editor.pairs.drawing import draw_effect
from soundgate.tracks.editor.reconstruct.settings import DrawnLabels
from soundgate.tracks.editor.timeline import from_labels, target_on_raw_timeline, tone_db
from soundgate.tracks.editor.vocabulary import BEAT_LABELS, Label


def draw_labels(n_beats: int, settings: DrawnLabels, generator: np.random.Generator) -> np.ndarray:
    """Draw runs of labels, int64 [n_beats]; two runs of one label may follow each other."""
    weights = np.array([settings.weights[label.name] for label in BEAT_LABELS])
    # As many runs as could be needed, so that the number of draws is known.
    labels = generator.choice(BEAT_LABELS, n_beats, p=weights / weights.sum())
    lengths = generator.integers(settings.run_beats[0], settings.run_beats[1] + 1, n_beats)
    return np.repeat(labels, lengths)[:n_beats].astype(np.int64)


def draw_edit(
    pair: CachedPair, features: Features, settings: DrawnLabels, generator: np.random.Generator
) -> CachedPair:
    """Give a recording labels that were drawn, and the target they describe.

    Args:
        pair: a recording, or a window of one; its labels and target play no part.
        features: its spectrogram's.
        settings: see `DrawnLabels`.
        generator: of the draws.

    Returns:
        Labels, target and plays of the drawn edit, as `from_labels` makes it. A run of EFFECT is damaged in ``raw``,
        by a level, a tone or both, and as it was in ``target``.
    """
    labels = draw_labels(len(pair.labels), settings, generator)
    # A frame is a sample here: no rate plays a part, since this EFFECT's own tone does nothing.
    spans = np.stack([pair.edges[:-1], pair.edges[1:]], axis=1)
    edit = from_labels(labels, spans, features.settings.sample_rate, Tone())
    decibels = features.to_db(pair.raw).T
    target = target_on_raw_timeline(decibels, edit, 1.0, features.settings.floor_db, features.centres_hz)
    raw = pair.raw.copy()
    for segment in edit.segments:
        if segment.label == Label.EFFECT.name:
            inside = slice(segment.start, segment.stop)
            raw[inside] = _damaged(pair.raw[inside], features, settings, generator)
    return pair._replace(raw=raw, target=features.from_db(target.T), labels=labels, plays=plays_of(edit, spans))


def _damaged(raw: np.ndarray, features: Features, settings: DrawnLabels, generator: np.random.Generator) -> np.ndarray:
    """Take an effect's gain and tone away; what is at the floor stays there, as nobody knows how far below it lies."""
    gain_db, tone = draw_effect(settings.effect_db, generator)
    change_db = gain_db + tone_db(tone, features.centres_hz, features.settings.sample_rate)
    shifted = features.from_db(features.to_db(raw) - change_db.astype(np.float32))
    return np.where(raw > 0, shifted, raw)
