"""What each utterance of a speaker is for, so that no measurement hears what a model was given."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from soundgate.runtime.randomness import keyed_generator

VOICES_FROM = {"validation": "train"}


class Roles(NamedTuple):
    """Rows of the cache by what they are for; disjoint.

    Args:
        content: int64, utterances that are converted.
        enrolment: int64, utterances that a converter knows the voice from.
        reference: int64, utterances that a judge knows the voice from.
    """

    content: np.ndarray
    enrolment: np.ndarray
    reference: np.ndarray


def assign_roles(table: pd.DataFrame, split: str, n_content: int, n_enrolment: int, seed: int) -> dict[str, Roles]:
    """Deal out each speaker's utterances.

    The draw depends on the utterances' names and ``seed`` alone. Speakers of ``validation`` lend their content from
    there and their voice from ``train``, where they have most.

    Args:
        table: of the cache.
        split: whose utterances.
        n_content: utterances to convert of each speaker, at most a third of what there is.
        n_enrolment: utterances to know the voice from, at most half of what is left.
        seed: of the draw.

    Returns:
        Roles by speaker; those of whom some role would stay empty are left out.
    """
    roles = {}
    for speaker, own in table[table["split"] == split].groupby("speaker"):
        drawn = _drawn(own, seed, f"{split} {speaker}")
        if split in VOICES_FROM:
            voice = table[(table["split"] == VOICES_FROM[split]) & (table["speaker"] == speaker)]
            content, rest = drawn[:n_content], _drawn(voice, seed, f"voice of {speaker}")
        else:
            count = min(n_content, len(drawn) // 3)
            content, rest = drawn[:count], drawn[count:]
        enrolment, reference = np.split(rest, [min(n_enrolment, len(rest) // 2)])
        if len(content) and len(enrolment):
            roles[str(speaker)] = Roles(content, enrolment, reference)
    return roles


def _drawn(own: pd.DataFrame, seed: int, item: str) -> np.ndarray:
    rows = own.sort_values("utterance").index.to_numpy(np.int64)
    return keyed_generator(seed, "voice-roles", item).permutation(rows)
