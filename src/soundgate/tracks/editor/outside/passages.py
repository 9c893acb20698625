"""The passages that are judged: from edits of songs that nothing was trained on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from soundgate.audio.io import read_audio
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.outside.settings import OutsideSettings

STAGE = "editor-outside"


class Passage(NamedTuple):
    """A passage of a true recording, and what stands at the lower end beside it.

    Args:
        recording: the pair it is of.
        group: its song.
        truth: float32 [T], from the middle of the edit.
        other: float32 [T], a passage of another song.
    """

    recording: str
    group: str
    truth: np.ndarray
    other: np.ndarray


def draw_passages(
    pairs: pd.DataFrame, sample_rate: int, hop_length: int, settings: OutsideSettings, seed: int
) -> list[Passage]:
    """Draw edits of each song of the test split, and for each an edit of another song of any split.

    Args:
        pairs: from `read_pairs`; edits shorter than a passage are left out.
        sample_rate: Hz to bring them to.
        hop_length: passages are cut to whole hops.
        settings: see `OutsideSettings`.
        seed: of the draws.

    Raises:
        CorpusError: no edit is long enough, or all are of one song.
        AudioError: a file cannot be read.
    """
    long = pairs[pairs["edit_samples"] >= settings.duration_s * pairs["sample_rate"]].reset_index(drop=True)
    length = int(settings.duration_s * sample_rate) // hop_length * hop_length
    passages = []
    for group, own in long[long["split"] == "test"].groupby("group"):
        generator = keyed_generator(seed, STAGE, f"passages {group}")
        others = long[long["group"] != group]
        if others.empty:
            break
        for row in generator.permutation(own.index)[: settings.per_song]:
            truth, other = (
                _middle(long["edit_path"][index], sample_rate, length)
                for index in (row, generator.choice(others.index))
            )
            passages.append(Passage(long["pair_id"][row], group, truth, other))
    if not passages:
        raise CorpusError(
            STAGE,
            expected=f"edits of {settings.duration_s:g} s at least, of a test song and of another one",
            found=f"{len(long)} such edits, {(long['split'] == 'test').sum()} of them of test songs",
            remedy="give more or longer songs, or make editor.outside.duration_s smaller",
        )
    return passages


def _middle(path: str, sample_rate: int, length: int) -> np.ndarray:
    """Return the middle of a recording, float32 [length]; silence follows what is too short by rounding."""
    wav = read_audio(path, sample_rate=sample_rate, mono=True).wav[0]
    start = max(0, len(wav) - length) // 2
    part = wav[start : start + length]
    return np.pad(part, (0, length - len(part)))
