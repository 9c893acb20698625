import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from soundgate.audio.effects import EFFECTS, Effect
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.rooms.plan import Draws, PlanSettings, batches_of, plan_rows, write_plan
from soundgate.tracks.rooms.splits import SPLITS, assign_splits

TOOLKIT = {
    "n_effects": (3, 6), "snr_db": (5, 40), "eq_gain_db": (-12, 12), "high_pass_hz": (60, 300),
    "low_pass_hz": (3000, 16000), "gain_db": (-12, 6), "bits": (8, 16), "clip_db": (1, 12),
}  # fmt: skip


def settings(**changes):
    values = {
        "n_triples": 200, "triples_per_batch": 30, "spare_share": 0.1, "split_shares": (0.6, 0.2, 0.2),
        "wet": (0.3, 1.0), "toolkit": TOOLKIT,
    }  # fmt: skip
    return PlanSettings.model_validate(values | changes)


def segments(n_speakers=10, each=8):
    rows = [(f"s{s}-{k}", f"speaker{s}", 1000 + k) for s in range(n_speakers) for k in range(each)]
    return pd.DataFrame(rows, columns=["segment_id", "speaker_id", "valid_samples"])


def build_plan(segments, irs, settings, seed):
    """Draw all of a plan."""
    draws = Draws(segments, irs, settings, seed)
    return plan_rows(draws, batches_of(draws, settings))


def irs(n=8):
    return {
        f"{pool}-{i}": {"pool": pool, "room_id": f"{pool}-room{i // 2}"} for pool in ("bad", "target") for i in range(n)
    }


@pytest.fixture(scope="module")
def plan():
    return build_plan(segments(), irs(), settings(), seed=3)


def test_no_speaker_and_no_room_stands_in_two_splits(plan):
    assert set(plan["split"]) == set(SPLITS)
    for column in ("speaker_id", "bad_room", "target_room"):
        assert plan.groupby(column)["split"].nunique().max() == 1


def test_a_room_in_both_pools_is_in_one_split():
    shared = irs()
    for i in range(8):
        shared[f"target-{i}"]["room_id"] = f"bad-room{i // 2}"
    plan = build_plan(segments(), shared, settings(), seed=0)
    both = pd.concat([plan[["bad_room", "split"]].set_axis(["room", "split"], axis=1),
                      plan[["target_room", "split"]].set_axis(["room", "split"], axis=1)])  # fmt: skip
    assert both.groupby("room")["split"].nunique().max() == 1


def test_every_segment_comes_once_before_any_comes_again(plan):
    first = plan[~plan["spare"]].sort_values("item")["segment_id"].tolist()
    assert len(set(first[:80])) == 80 and first[80:160] == first[:80]


def test_batches_hold_what_was_asked_for_and_their_own_spares(plan):
    assert plan["item"].is_unique
    counts = plan.groupby("batch")["spare"].agg(["size", "sum"])
    wanted = plan[~plan["spare"]]
    sizes = [wanted["split"].eq(split).sum() for split in SPLITS]
    full = [size for n in sizes for size in [30] * (n // 30) + [n % 30] * int(n % 30 > 0)]
    assert (counts["size"] - counts["sum"]).tolist() == full and sum(full) == 200
    assert counts["sum"].tolist() == [3] * len(full)


def test_what_is_written_is_what_is_drawn_and_one_batch_is_read_alone(plan, tmp_path, monkeypatch):
    monkeypatch.setattr("soundgate.tracks.rooms.plan._GROUP_ROWS", 60)
    draws = Draws(segments(), irs(), settings(), seed=3)
    write_plan(tmp_path / "plan.parquet", draws, settings())
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "plan.parquet"), plan)
    groups = [pq.ParquetFile(tmp_path / "plan.parquet").read_row_group(n).to_pandas() for n in range(4)]
    assert [group["batch"].nunique() for group in groups] == [2, 2, 2, 2] and len(groups[0]) == 66


def test_no_batch_holds_two_splits(plan):
    assert plan.groupby("batch")["split"].nunique().eq(1).all()


def test_another_epoch_has_the_same_voices_in_other_rooms():
    draws = Draws(segments(), irs(), settings(), seed=3)
    first, second, again = ([draws.draw(item, epoch) for item in range(40)] for epoch in (0, 1, 1))
    assert second == again
    same = ("item", "split", "segment_id", "speaker_id", "valid_samples")
    assert all(one[name] == other[name] for one, other in zip(first, second, strict=True) for name in same)
    assert sum(one["wet"] == other["wet"] for one, other in zip(first, second, strict=True)) == 0
    assert sum(one["bad_ir"] != other["bad_ir"] for one, other in zip(first, second, strict=True)) > 10


def test_the_items_of_the_splits_are_all_there_are(plan):
    draws = Draws(segments(), irs(), settings(), seed=3)
    items = [draws.items(split) for split in SPLITS]
    assert sorted(np.concatenate(items)) == list(range(200)) and all(np.all(np.diff(own) > 0) for own in items)
    assert {draws.draw(item)["split"] for item in items[1]} == {"validation"}


def test_an_item_does_not_depend_on_how_many_others_there_are(plan):
    fewer = build_plan(segments(), irs(), settings(n_triples=50), seed=3)
    columns = [c for c in plan.columns if c not in ("batch",)]
    wanted = fewer[~fewer["spare"]].sort_values("item")
    found = plan[plan["item"] < 50].sort_values("item")
    pd.testing.assert_frame_equal(wanted[columns].reset_index(drop=True), found[columns].reset_index(drop=True))


def test_draws_are_inside_their_ranges_and_can_be_read_back(plan):
    assert plan["wet"].between(0.3, 1).all() and plan["wet"].std() > 0.15
    drawn = [[Effect(**effect) for effect in json.loads(text)] for text in plan["effects"]]
    assert {len(effects) for effects in drawn} == {3, 4, 5, 6}
    assert {effect.name for effects in drawn for effect in effects} == set(EFFECTS)


def test_without_a_number_every_segment_is_used_once():
    plan = build_plan(segments(), irs(), settings(n_triples=None, spare_share=0), seed=0)
    assert sorted(plan["segment_id"]) == sorted(segments()["segment_id"])


def test_the_seed_changes_the_plan_and_nothing_else_does(plan):
    pd.testing.assert_frame_equal(plan, build_plan(segments(), irs(), settings(), seed=3))
    assert not plan["bad_ir"].equals(build_plan(segments(), irs(), settings(), seed=4)["bad_ir"])


@pytest.mark.parametrize("changes", [{"split_shares": (0.5, 0.2, 0.2)}, {"split_shares": (1.0, 0.0, 0.0)},
                                     {"wet": (0.5, 0.2)}, {"wet": (0, 1.5)}, {"n_triples": 0}])  # fmt: skip
def test_settings_out_of_range(changes):
    with pytest.raises(ValidationError):
        settings(**changes)


@pytest.mark.parametrize("speakers, n_irs", [(2, 8), (10, 4)])
def test_too_few_for_three_splits(speakers, n_irs):
    with pytest.raises(CorpusError, match="at least 3"):
        build_plan(segments(speakers), irs(n_irs), settings(), seed=0)


def test_shares_are_kept_as_well_as_whole_names_allow():
    splits = assign_splits([f"n{i}" for i in range(50)], (0.8, 0.1, 0.1), 0, "names")
    assert np.unique(list(splits.values()), return_counts=True)[1].tolist() == [5, 40, 5]
    assert splits != assign_splits([f"n{i}" for i in range(50)], (0.8, 0.1, 0.1), 1, "names")
