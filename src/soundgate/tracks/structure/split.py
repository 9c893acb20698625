"""Who is trained on: speakers into train and eval, and some utterances of each train speaker held out."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pydantic import Field

from soundgate.runtime.config import Section
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.randomness import keyed_generator

STAGE = "structure-split"
SPLITS = ("train", "holdout", "eval")


class SplitSettings(Section):
    """Section ``structure.split``."""

    train_fraction: float = Field(gt=0, lt=1, description="share of the speakers that is trained on")
    holdout_fraction: float = Field(ge=0, lt=1, description="share of each train speaker's utterances held out")


def split_speakers(speaker_ids: list[str], train_fraction: float, seed: int) -> tuple[list[str], list[str]]:
    """Divide speakers into train and eval.

    The ids are sorted, shuffled by the seed, and the first ``train_fraction`` of them (rounded, at least one
    on either side) are trained on: 200 of 251 for LibriSpeech train-clean-100.

    Args:
        speaker_ids: distinct ids, in any order.
        train_fraction: in (0, 1).
        seed: the experiment's seed.

    Returns:
        Train and eval ids, each sorted.

    Raises:
        CorpusError: there are fewer than two speakers.
    """
    if len(speaker_ids) < 2:
        raise CorpusError(
            "the speech corpus",
            expected="at least 2 speakers, so that one can be kept for evaluation",
            found=f"{len(speaker_ids)} ({', '.join(speaker_ids)})",
            remedy="Add a speaker, or see rejected.csv for why others were left out.",
        )
    shuffled = keyed_generator(seed, STAGE, "speakers").permutation(sorted(speaker_ids)).tolist()
    n_train = int(np.clip(np.floor(train_fraction * len(shuffled) + 0.5), 1, len(shuffled) - 1))
    return sorted(shuffled[:n_train]), sorted(shuffled[n_train:])


def holdout_utterances(utt_ids: list[str], speaker_id: str, holdout_fraction: float, seed: int) -> set[str]:
    """Choose which utterances of one train speaker are held out.

    Args:
        utt_ids: the speaker's utterances, in any order.
        speaker_id: the speaker; the draw is keyed by it, so that other speakers do not change it.
        holdout_fraction: in [0, 1); where it is positive, a speaker with two utterances or more gives at
            least one and keeps at least one.
        seed: the experiment's seed.
    """
    if holdout_fraction == 0 or len(utt_ids) < 2:
        return set()
    shuffled = keyed_generator(seed, STAGE, f"utterances of {speaker_id}").permutation(sorted(utt_ids)).tolist()
    n_holdout = int(np.clip(np.floor(holdout_fraction * len(shuffled) + 0.5), 1, len(shuffled) - 1))
    return set(shuffled[:n_holdout])


def split_corpus(index: pd.DataFrame, settings: SplitSettings, seed: int) -> pd.DataFrame:
    """Assign every utterance of a corpus to ``train``, ``holdout`` or ``eval``.

    Args:
        index: one row for each utterance, with ``utt_id`` and ``speaker_id``.
        settings: fractions.
        seed: the experiment's seed.

    Returns:
        ``utt_id``, ``speaker_id`` and ``split`` (categorical, ordered as ``SPLITS``), sorted by ``utt_id``.

    Raises:
        CorpusError: there are fewer than two speakers, or an utterance id stands twice.
    """
    twice = index.loc[index["utt_id"].duplicated(), "utt_id"]
    if len(twice):
        raise CorpusError("the speech corpus", expected="distinct utterance ids", found=f"{twice.iloc[0]!r} twice")
    train, _ = split_speakers(sorted(index["speaker_id"].unique()), settings.train_fraction, seed)
    table = index[["utt_id", "speaker_id"]].sort_values("utt_id", ignore_index=True)
    split = pd.Series("eval", index=table.index, dtype=object)
    for speaker_id, utt_ids in table[table["speaker_id"].isin(train)].groupby("speaker_id")["utt_id"]:
        held_out = holdout_utterances(utt_ids.tolist(), speaker_id, settings.holdout_fraction, seed)
        split[utt_ids.index] = np.where(utt_ids.isin(held_out), "holdout", "train")
    return table.assign(split=pd.Categorical(split, categories=SPLITS))


def id_lists(split: pd.DataFrame) -> dict[str, list[str]]:
    """Return the seed's four lists by file name without suffix, each sorted.

    ``train_utt_ids`` holds every utterance of the train speakers, those held out included: the seed knows no
    hold-out. ``split.parquet`` tells them apart.
    """
    lists = {}
    for name, rows in (("train", split[split["split"] != "eval"]), ("eval", split[split["split"] == "eval"])):
        lists[f"{name}_speakers"] = sorted(rows["speaker_id"].unique())
        lists[f"{name}_utt_ids"] = sorted(rows["utt_id"])
    return lists
