"""What each utterance of a speaker is for, so that no measurement hears what a model was given."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from soundgate.randomness import keyed_generator

FEWEST = 3


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

    The draw depends on the utterances' names and ``seed`` alone.

    Args:
        table: of the cache.
        split: whose utterances.
        n_content: utterances to convert of each speaker, at most a third of what there is.
        n_enrolment: utterances to know the voice from, at most a third of what there is.
        seed: of the draw.

    Returns:
        Roles by speaker; speakers with fewer than three utterances, of whom none can be judged, are left out.
    """
    roles = {}
    for speaker, own in table[table["split"] == split].groupby("speaker"):
        if len(own) < FEWEST:
            continue
        rows = own.sort_values("utterance").index.to_numpy(np.int64)
        order = keyed_generator(seed, "voice-roles", str(speaker)).permutation(rows)
        first = min(n_content, len(rows) // FEWEST)
        second = first + min(n_enrolment, len(rows) // FEWEST)
        roles[str(speaker)] = Roles(order[:first], order[first:second], order[second:])
    return roles
