"""How far the notes of outputs are those of their sources, as Basic Pitch hears them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache as remembered

import numpy as np
import pandas as pd

from soundgate.audio.noisy import with_white_noise
from soundgate.judges.notes import SOUNDING, Activations, NotesJudge, note_overlap
from soundgate.runtime.console import track
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.transfer.outside.clips import STAGE, Clip
from soundgate.tracks.transfer.outside.systems import Maker, Originals, Sounds
from soundgate.tracks.transfer.outside.waves import SCORES, Heard, compare, hear

MEASURES = ("note_f1", "note_f1_other", *SCORES)


class NotesListening:
    """Asks the judge once of every recording.

    Args:
        judge: of notes.
        originals: the music.
    """

    def __init__(self, judge: NotesJudge, originals: Originals) -> None:
        self.judge, self.originals = judge, originals
        self.source = remembered(lambda row: self.keys(originals.chunk(row)))
        self.original = remembered(lambda row: self.hear(originals.chunk(row)))

    def table(self, clips: Sequence[Clip], made: Mapping[tuple[str, str], Maker]) -> pd.DataFrame:
        """Return one row for each path, system and clip.

        ``path``, ``system``, ``row``, ``group``, ``source_genre``, ``target_genre``, and ``MEASURES``: F1 of each
        frame's notes with the source's and with the other music's, and the scores of
        `soundgate.tracks.transfer.outside.waves.compare`; nan where there is no such output or music, no
        note is heard in what the output is held against, or the corpus lacks the band that the judge listens to.
        """
        return pd.DataFrame(
            [
                self._row(path, system, make, clip)
                for (path, system), make in made.items()
                for clip in track(clips, f"notes: {path} {system}")
            ]
        )

    def _row(self, path: str, system: str, make: Maker, clip: Clip) -> dict:
        sounds = make(clip)
        found = None if sounds is None else self.hear(sounds)
        known = {"path": path, "system": system, "row": clip.row}
        known |= {"group": self.originals.cache.index["group"].iloc[clip.row]}
        known |= {"source_genre": clip.source_genre, "target_genre": clip.target_genre}
        if found is None:
            return known | dict.fromkeys(MEASURES, np.nan)
        f1, other = self.both(clip, found.keys)
        truth = self.originals.cache.true_rows(clip.row, clip.target_genre)
        owed = self.original(int(truth[0]) if len(truth) else clip.row)
        return known | {"note_f1": f1, "note_f1_other": other} | compare(self.original(clip.row), owed, found)

    def both(self, clip: Clip, found: np.ndarray | None) -> tuple[float, float]:
        """Return the F1 of notes with those of a clip's source, and with those of its other music."""
        other = None if clip.other is None else self.source(clip.other)
        return agreement(self.source(clip.row), found), agreement(other, found)

    def keys(self, sounds: Sounds) -> np.ndarray | None:
        """Return which of 88 keys sound, bool [L, 88], as long as sources are; None where the judge lacks its band."""
        found = self._activations(sounds)
        return None if found is None else found.sounding >= SOUNDING

    def hear(self, sounds: Sounds) -> Heard | None:
        """Hear all that is scored, of as much as sources are long; None where the judge lacks its band."""
        found = self._activations(sounds)
        return None if found is None else hear(self._cut(sounds), sounds.sample_rate, found)

    def _activations(self, sounds: Sounds) -> Activations | None:
        if sounds.sample_rate < self.judge.min_rate:
            return None
        return self.judge.activations([self._cut(sounds)], sounds.sample_rate)[0]

    def _cut(self, sounds: Sounds) -> np.ndarray:
        return sounds.wav[: round(self.originals.duration_s * sounds.sample_rate)].astype(np.float32)

    def noisy(self, row: int, snr_db: float) -> Sounds:
        """Return a source with white noise."""
        wav, rate = self.originals.chunk(row)
        noisy = with_white_noise(np.asarray(wav, np.float32), rate, snr_db, keyed_seed(0, STAGE, f"noise {row}"))
        return Sounds(noisy, rate)


def agreement(reference: np.ndarray | None, found: np.ndarray | None) -> float:
    """Return the F1 of each frame's notes, bool [L, 88]; 0 where none is found, nan where none is to be found."""
    if reference is None or found is None or not reference.any():
        return float("nan")
    n_frames = min(len(reference), len(found))
    reference, found = reference[:n_frames], found[:n_frames]
    return note_overlap(reference, found)["note_f1"] if found.any() else 0.0
