import numpy as np
import pandas as pd
import soundfile

from soundgate.audio.io import write_audio
from soundgate.audio.mel import MelSettings
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.judge.networks import ContentJudge, StyleJudge
from soundgate.tracks.transfer.judge.scoring import Judges
from soundgate.tracks.transfer.samples.pack import PackWriter
from soundgate.tracks.transfer.samples.selection import choose_clips
from soundgate.tracks.transfer.samples.settings import SamplesSettings
from soundgate.tracks.transfer.samples.transfers import Output, make_transfers, plan_transfers, write_transfers
from tests.tracks.transfer.planted import GENRES, planted_cache


class Echo:
    """A path whose spectrograms say which row and genre were asked for."""

    def __call__(self, rows, codes, generator):
        mels = np.full((len(rows), 96, 256), -40.0, np.float32)
        mels[:, 0, 0], mels[:, 1, 0] = -rows / 10, -codes
        return Output(mels, None, 0)


def test_every_test_chunk_goes_to_every_other_genre_with_its_controls():
    cache = planted_cache(10)
    plan = plan_transfers(cache, ["mel"], None, 0)
    test = cache.rows("test")
    assert plan["kind"].value_counts().to_dict() == dict.fromkeys(("identity", "transfer", "shuffled"), len(test))
    made = plan[plan["kind"] == "transfer"]
    assert (made["source_genre"] != made["target_genre"]).all() and (
        made["condition_genre"] == made["target_genre"]
    ).all()
    wrong = plan[plan["kind"] == "shuffled"]
    assert (wrong["condition_genre"] != wrong["target_genre"]).all()
    own = plan[plan["kind"] == "identity"]
    assert (own["source_genre"] == own["target_genre"]).all()


def test_a_cap_holds_for_each_genre_and_keeps_its_choice():
    cache = planted_cache(20)
    few, more = (plan_transfers(cache, ["mel"], n, 0) for n in (1, 2))
    assert few.groupby("source_genre")["row"].nunique().tolist() == [1, 1]
    assert set(few["row"]) <= set(more["row"])


def test_spectrograms_stand_where_the_table_says(tmp_path):
    cache = planted_cache(10)
    plan = plan_transfers(cache, ["mel", "other"], None, 0)
    mels = make_transfers(plan, {"mel": Echo(), "other": Echo()}, cache.genres, 0)
    write_transfers(tmp_path, plan, mels)
    table, stored = pd.read_parquet(tmp_path / "transfers.parquet"), np.load(tmp_path / "mels.npy")
    np.testing.assert_allclose(stored[table["array_row"], 0, 0], -table["row"] / 10, atol=0.05)
    assert stored[table["array_row"], 1, 0].tolist() == (-table["condition_genre"].map(GENRES.index)).tolist()


def plan_of(pairs, n_groups):
    """Every path transfers two chunks of each score for every pair; the scores are 0, 0, 1, 1, ..."""
    rows = [
        {"path": path, "kind": kind, "row": row, "source_genre": a, "target_genre": b, "condition_genre": b}
        for path in ("mel", "codec")
        for a, b in pairs
        for row in range(2 * n_groups)
        for kind in ("transfer", "shuffled")
    ]
    return pd.DataFrame(rows), pd.Series(np.arange(2 * n_groups) // 2)


def test_the_pack_takes_another_score_for_every_pair_and_the_same_clips_for_every_path():
    pairs = [(a, b) for a in "xyz" for b in "xyz" if a != b]
    plan, groups = plan_of(pairs, 6)
    chosen = choose_clips(plan, groups, 1)
    assert (chosen["kind"] == "transfer").all() and len(chosen) == 12
    own = chosen[chosen["path"] == "mel"]
    assert sorted(groups[own["row"]]) == list(range(6)), "six pairs, six scores"
    columns = ["source_genre", "target_genre", "row"]
    assert own[columns].values.tolist() == chosen.loc[chosen["path"] == "codec", columns].values.tolist()


def test_several_clips_of_a_pair_are_of_different_scores_and_never_the_same_chunk():
    plan, groups = plan_of([("x", "y"), ("y", "x")], 3)
    for _, own in choose_clips(plan, groups, 3).groupby(["path", "source_genre"]):
        assert sorted(groups[own["row"]]) == [0, 1, 2]
    for _, own in choose_clips(plan, groups, 4).groupby(["path", "source_genre"]):
        assert own["row"].is_unique and groups[own["row"]].nunique() == 3 and len(own) == 4
    assert len(choose_clips(plan, groups, 99)) == 2 * 2 * 6 and choose_clips(plan, groups, 0).empty


def test_a_pack_has_sounds_pictures_scores_and_a_page(tmp_path):
    planted = planted_cache(5)
    index = planted.index.copy()
    for row in np.flatnonzero(index["is_music"]):
        path = tmp_path / f"{index['utt_id'].iloc[row]}.wav"
        write_audio(path, 0.1 * np.random.default_rng(row).standard_normal(70_000).astype(np.float32), 22050)
        index.loc[row, "path"] = str(path)
    cache = ChunkCache(index, planted.mels)
    judges = Judges(ContentJudge(96, 16).eval(), StyleJudge(84, 2))
    settings = SamplesSettings(max_sources=2, clips_per_pair=1, mode="centroid", griffin_lim_iterations=2)
    plan = plan_transfers(cache, ["mel"], 2, 0)
    folder = tmp_path / "pack"
    summary = PackWriter(folder, cache, MelSettings(), {"mel": Echo()}, judges, settings, 0).write(plan)
    assert len(summary) == 2 and (folder / "index.html").is_file()
    assert pd.read_csv(folder / "generation_summary.csv")["clip_id"].tolist() == summary["clip_id"].tolist()
    assert set(summary["score"]) <= set(cache.index["group"])
    for column in ("source_wav", "fake_wav", "reconstruction_wav", "true_wav"):
        for name in summary[column]:
            assert soundfile.info(folder / name).frames == 255 * 256
    assert (summary["sf"] == 0.5).all() and (summary["mel_distance_of_source"] > 0).all()
