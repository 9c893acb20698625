import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundgate.runtime.errors import CorpusError
from soundgate.tracks.structure.split import (
    SPLITS,
    SplitSettings,
    holdout_utterances,
    id_lists,
    split_corpus,
    split_speakers,
)

SETTINGS = SplitSettings(train_fraction=200 / 251, holdout_fraction=0.1)


def corpus(utterances_of):
    rows = [(f"{speaker}-{i:04d}", speaker) for speaker, n in utterances_of.items() for i in range(n)]
    return pd.DataFrame(rows, columns=["utt_id", "speaker_id"])


def test_train_clean_100_is_divided_200_to_51():
    speakers = [str(i) for i in range(251)]
    train, eval_ = split_speakers(speakers, 200 / 251, seed=0)
    assert (len(train), len(eval_)) == (200, 51)
    assert sorted(train + eval_) == sorted(speakers)


def test_the_committed_fraction_gives_200_of_251():
    train, _ = split_speakers([str(i) for i in range(251)], 0.796812749003984, seed=3)
    assert len(train) == 200


def test_the_order_of_the_ids_plays_no_part_and_the_seed_does():
    speakers = [f"s{i}" for i in range(40)]
    first = split_speakers(speakers, 0.5, seed=0)
    assert split_speakers(speakers[::-1], 0.5, seed=0) == first
    assert len({tuple(split_speakers(speakers, 0.5, seed)[0]) for seed in range(20)}) == 20


def test_every_speaker_is_as_likely_as_another_to_be_trained_on():
    speakers = [f"s{i}" for i in range(10)]
    counts = pd.Series([s for seed in range(2000) for s in split_speakers(speakers, 0.7, seed)[0]]).value_counts()
    # 2,000 draws with probability 0.7: standard deviation 20.5.
    assert np.abs(counts - 1400).max() < 5 * 20.5


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 1000))
def test_both_sides_have_a_speaker_and_the_fraction_is_kept(n, fraction, seed):
    train, eval_ = split_speakers([str(i) for i in range(n)], fraction, seed)
    assert train and eval_ and len(train) + len(eval_) == n and not set(train) & set(eval_)
    assert abs(len(train) - fraction * n) <= 0.5 + 1e-9 or len(train) in (1, n - 1)


@pytest.mark.parametrize("speakers", [[], ["only"]])
def test_one_speaker_is_too_few(speakers):
    with pytest.raises(CorpusError, match=r"at least 2 speakers.*rejected\.csv"):
        split_speakers(speakers, 0.5, 0)


@pytest.mark.parametrize(("n", "held_out"), [(1, 0), (2, 1), (3, 1), (14, 1), (15, 2), (100, 10)])
def test_how_many_utterances_are_held_out(n, held_out):
    ids = [str(i) for i in range(n)]
    chosen = holdout_utterances(ids, "s", 0.1, seed=0)
    assert len(chosen) == held_out and chosen <= set(ids)
    assert holdout_utterances(ids, "s", 0.0, seed=0) == set()


def test_other_speakers_do_not_change_who_is_held_out():
    alone = holdout_utterances([f"a-{i}" for i in range(50)], "a", 0.1, seed=0)
    index = corpus({name: 50 for name in "abcdef"}).replace({"utt_id": r"-0*(\d+)$"}, {"utt_id": r"-\1"}, regex=True)
    table = split_corpus(index, SETTINGS, 0).set_index("utt_id")
    held_out = {u for u in table.index[table["split"] == "holdout"] if u.startswith("a-")}
    if (table.loc[table["speaker_id"] == "a", "split"] != "eval").any():
        assert held_out == alone


def test_a_corpus_is_split_by_speaker_and_inside_train_by_utterance():
    table = split_corpus(corpus({f"s{i:02d}": 20 for i in range(24)}), SETTINGS, seed=0)
    assert list(table["split"].cat.categories) == list(SPLITS)
    assert table["utt_id"].is_monotonic_increasing and len(table) == 480
    speakers = table.groupby("split", observed=True)["speaker_id"].agg(set)
    assert len(speakers["eval"]) == 5 and len(speakers["train"]) == 19
    assert speakers["holdout"] == speakers["train"] and not speakers["eval"] & speakers["train"]
    assert table["split"].value_counts().to_dict() == {"train": 19 * 18, "holdout": 19 * 2, "eval": 5 * 20}


def test_rows_may_come_in_any_order():
    index = corpus({f"s{i}": 5 + i for i in range(8)})
    pd.testing.assert_frame_equal(
        split_corpus(index, SETTINGS, 1), split_corpus(index.sample(frac=1, random_state=0), SETTINGS, 1)
    )


def test_an_utterance_that_stands_twice_is_refused():
    index = pd.concat([corpus({"a": 2, "b": 2})] * 2)
    with pytest.raises(CorpusError, match="'a-0000' twice"):
        split_corpus(index, SETTINGS, 0)


def test_the_four_lists_cover_the_corpus_and_train_includes_the_hold_out():
    table = split_corpus(corpus({f"s{i}": 10 for i in range(10)}), SETTINGS, seed=0)
    lists = id_lists(table)
    assert set(lists) == {"train_speakers", "eval_speakers", "train_utt_ids", "eval_utt_ids"}
    assert sorted(lists["train_utt_ids"] + lists["eval_utt_ids"]) == table["utt_id"].tolist()
    assert set(table.loc[table["split"] == "holdout", "utt_id"]) <= set(lists["train_utt_ids"])
    assert {u.split("-")[0] for u in lists["eval_utt_ids"]} == set(lists["eval_speakers"])
    assert all(ids == sorted(ids) for ids in lists.values())
