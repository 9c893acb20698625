"""Triples rendered as they are asked for: what is stored, other epochs, workers, ranks, going on."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import read_json
from soundgate.tracks.rooms.batches import EMBEDDING, FULL_SCALE, SOURCE, TARGET, batch_name, meta_name, open_batch
from soundgate.tracks.rooms.rendered import RenderedTriples, TripleSampler, TripleStream
from soundgate.tracks.rooms.splits import SPLITS


@pytest.fixture(scope="module")
def train(small_run):
    return RenderedTriples(small_run, "train")


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(torch.as_tensor(one[name]), torch.as_tensor(other[name])) for name in one
    )


def test_epoch_0_is_what_is_stored_bit_for_bit(small_run, batches):
    stored = {}
    for path in sorted(batches.glob("batch_*_meta.json")):
        meta = read_json(path)
        arrays = open_batch(batches / batch_name(meta["batch"]))
        assert path.name == meta_name(meta["batch"])
        for row, triple in enumerate(meta["triples"]):
            stored[triple["item"]] = triple, *(arrays[name][row] for name in (SOURCE, TARGET, EMBEDDING))
    seen = []
    for split in SPLITS:
        triples = RenderedTriples(small_run, split)
        for index in range(len(triples)):
            found = triples[index]
            triple, source, target, embedding = stored[int(found["item"])]
            assert triple["split"] == split and int(found["valid_samples"]) == triple["valid_samples"]
            assert np.array_equal(found["source"][0].numpy(), source.astype(np.float32) / FULL_SCALE)
            assert np.array_equal(found["target"][0].numpy(), target.astype(np.float32) / FULL_SCALE)
            assert np.array_equal(found["embedding"].numpy(), embedding)
            assert float(found["source_gain"]) == pytest.approx(triple["source_gain"], rel=1e-6)
            seen.append(int(found["item"]))
    assert sorted(seen) == list(range(20))


def test_another_epoch_has_the_same_voices_otherwise_and_comes_again_the_same(train):
    first, second = train[0], train[1, 0]
    assert train.describe(0)["segment_id"] == train.describe(0, epoch=1)["segment_id"]
    assert not torch.equal(first["source"], second["source"]) and same(second, train[1, 0])
    assert train.describe(0, 2)["effects"] != train.describe(0, 1)["effects"]


def test_rooms_and_voices_stay_in_their_split_in_every_epoch(small_run):
    found = {split: {"bad_room": set(), "target_room": set(), "speaker_id": set()} for split in SPLITS}
    for split, epoch in itertools.product(SPLITS, range(4)):
        triples = RenderedTriples(small_run, split)
        for index, name in itertools.product(range(len(triples)), found[split]):
            found[split][name].add(triples.describe(index, epoch)[name])
    for one, other in itertools.combinations(SPLITS, 2):
        assert all(not found[one][name] & found[other][name] for name in found[one])


def test_a_pickle_is_small_and_renders_the_same(train):
    train[0]
    content = pickle.dumps(train)
    assert len(content) < 1000
    assert same(pickle.loads(content)[3, 1], train[3, 1])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_workers_change_nothing(train, how):
    alone = list(DataLoader(train, batch_size=3, sampler=TripleSampler(train, count=9)))
    shared = list(
        DataLoader(
            train, batch_size=3, sampler=TripleSampler(train, count=9), num_workers=2, multiprocessing_context=how
        )
    )
    assert len(alone) == 3 and all(same(one, other) for one, other in zip(alone, shared, strict=True))


def test_an_epoch_gone_on_with_is_the_uninterrupted_one(train):
    whole = list(TripleSampler(train, seed=4, count=3 * len(train)))
    for start in (1, len(train) - 1, len(train), 2 * len(train) + 1):
        assert list(TripleSampler(train, seed=4, start=start, count=3 * len(train) - start)) == whole[start:]
    epochs = [whole[first : first + len(train)] for first in range(0, len(whole), len(train))]
    assert [sorted(epoch) for epoch in epochs] == [[(n, i) for i in range(len(train))] for n in range(3)]
    assert [i for _, i in epochs[0]] != [i for _, i in epochs[1]]
    assert whole != list(TripleSampler(train, seed=5, count=len(whole)))


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_the_places_out(train, ranks):
    whole = list(TripleSampler(train, count=12))
    own = [list(TripleSampler(train, count=12 // ranks, rank=rank, ranks=ranks)) for rank in range(ranks)]
    assert [place for places in zip(*own, strict=True) for place in places] == whole
    assert list(TripleSampler(train, start=1, count=2, rank=1, ranks=ranks)) == own[1][1:3]


def test_the_stream_gives_the_samplers_order_with_workers_and_without(train):
    stream = TripleStream(train, TripleSampler(train, seed=1, count=5))
    wanted = [train[place] for place in TripleSampler(train, seed=1, count=5)]
    assert all(same(one, other) for one, other in zip(stream, wanted, strict=True))
    loaded = DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context="fork")
    assert all(same(one, other) for one, other in zip(loaded, wanted, strict=True))


def test_a_run_without_its_draws_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"drawn\.json"):
        RenderedTriples(tmp_path, "train")


def test_the_plans_items_are_the_data_sets(small_run):
    plan = pd.read_parquet(small_run / "plan/plan.parquet")
    for split in SPLITS:
        wanted = plan[~plan["spare"] & (plan["split"] == split)]["item"].tolist()
        triples = RenderedTriples(small_run, split)
        assert [triples.describe(index)["item"] for index in range(len(triples))] == wanted
