"""Whether the judge of notes hears on this corpus what it is asked about, beside one that knows nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.hearing import answer
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.outside.clips import STAGE, Clip
from soundgate.tracks.transfer.outside.listening import NotesListening

TWIN_SEED = 0


def try_judge(
    listening: NotesListening, clips: Sequence[Clip], noise_db: float, seed: int, n_bootstrap: int
) -> dict[str, object]:
    """Ask the judge for the notes of sources with noise.

    Args:
        listening: with the judge.
        clips: the sources and the other music of each.
        noise_db: signal-to-noise ratio of the white noise.
        seed: of the resampling.
        n_bootstrap: resamples.

    Returns:
        See `answer`, over groups. The twin has the same weights shuffled; None where it hears no note.
    """
    own = _margins(listening, clips, noise_db)
    twin = _margins(NotesListening(listening.judge.twin(TWIN_SEED), listening.originals), clips, noise_db)
    group = listening.originals.cache.index["group"].to_numpy()[[clip.row for clip in clips]]
    estimate = group_mean(own, group, keyed_generator(seed, STAGE, "bootstrap judge"), n_bootstrap)
    known = twin[np.isfinite(twin)]
    unheard = float(known.mean()) if len(known) else None
    asked = f"notes of a source with white noise at {noise_db:g} dB: F1 with its own less F1 with other music's"
    return answer(asked, estimate, unheard)


def _margins(listening: NotesListening, clips: Sequence[Clip], noise_db: float) -> np.ndarray:
    heard = (listening.both(clip, listening.keys(listening.noisy(clip.row, noise_db))) for clip in clips)
    return np.array([own - other for own, other in heard])
