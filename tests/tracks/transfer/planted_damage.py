"""Generated music with one part damaged."""

from dataclasses import replace

import numpy as np

from soundgate.corpora.generated_music import Rendering, read_music_source, render
from soundgate.corpora.scores import draw_score

SOURCES = "sources/generated_music.yaml"
JITTER_S = 0.08


def damaged(score, part, seed=0):
    """Return a score whose chords or bass have random roots, whose melody comes 80 ms too soon or late, or no drums."""
    generator, notes = np.random.default_rng(seed), score.notes.copy()
    own = (notes["part"] == part).to_numpy()
    if part == "drums":
        notes = notes[~own].reset_index(drop=True)
    elif part == "melody":
        moved = generator.choice((-JITTER_S, JITTER_S), own.sum())
        notes.loc[own, "onset_s"] = (notes.loc[own, "onset_s"] + moved).clip(lower=0)
        notes.loc[own, "offset_s"] += moved
    else:
        onsets, at = np.unique(notes.loc[own, "onset_s"], return_inverse=True)
        shifts = generator.integers(1, 12, len(onsets))[at]
        midi = notes.loc[own, "midi"].to_numpy() + shifts
        notes.loc[own, "midi"] = 31 + (midi - 31) % 12 if part == "bass" else midi - 6
    return replace(score, notes=notes)


def played(style, score_id, damage=None, duration_s=4.0):
    """Return float32 [T] at 22,050 Hz: a score in a style, the same noises whatever is damaged."""
    sources = read_music_source(SOURCES)
    score = draw_score(score_id, 0, duration_s)
    rendering = Rendering(f"{score_id}-{style}", score_id, style, sources.sources[0].name)
    return render(score if damage is None else damaged(score, damage), rendering, sources, 0)
