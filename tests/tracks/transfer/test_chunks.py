import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from soundgate.audio.io import write_audio
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.caching import CacheSettings, build_cache
from soundgate.tracks.transfer.chunks import ChunkSettings, chunk_starts, chunk_wavs
from soundgate.tracks.transfer.splits import SplitFractions, split_groups

UNIFORM = ChunkSettings(duration_s=5, per_track=4, sampling="uniform", min_start_s=0)
FRACTIONS = SplitFractions(judge=0.2, test=0.2)


def test_uniform_starts_are_evenly_spaced():
    assert chunk_starts(20, UNIFORM, 0, "a") == [0, 5, 10, 15]


def test_starts_keep_to_their_limits():
    settings = UNIFORM.model_copy(update={"min_start_s": 2.0, "max_start_s": 8.0})
    assert chunk_starts(20, settings, 0, "a") == [2, 4, 6, 8]
    assert chunk_starts(9, settings, 0, "a") == [2, 2.67, 3.33, 4]


def test_a_track_no_longer_than_a_chunk_has_one():
    assert chunk_starts(5, UNIFORM, 0, "a") == [0] == chunk_starts(1.5, UNIFORM, 0, "a")


def test_random_starts_belong_to_the_music():
    settings = UNIFORM.model_copy(update={"sampling": "random"})
    starts = chunk_starts(20, settings, 0, "score")
    assert starts == chunk_starts(20, settings, 0, "score") != chunk_starts(20, settings, 0, "other")
    assert all(0 <= start <= 15 for start in starts) and len(starts) == 4


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ValidationError, match="before"):
        ChunkSettings(duration_s=5, per_track=4, sampling="uniform", min_start_s=3, max_start_s=1)


def test_a_chunk_is_the_tracks_own_samples_and_a_short_track_repeats(tmp_path):
    wav = np.linspace(-0.5, 0.5, 16000, dtype=np.float32)
    write_audio(tmp_path / "a.wav", wav, 8000, "FLOAT")
    inside, over = chunk_wavs(tmp_path / "a.wav", [0.5, 1.5], 1.0, 8000)
    np.testing.assert_array_equal(inside, wav[4000:12000])
    np.testing.assert_array_equal(over, np.tile(wav[12000:], 2))


def test_every_split_has_its_share_of_every_stratum():
    strata = pd.Series(["x"] * 10 + ["y"] * 20, index=[f"g{i:02d}" for i in range(30)])
    splits = split_groups(strata, FRACTIONS, 0, "test")
    assert pd.crosstab(strata, splits).loc[:, ["judge", "test", "train"]].to_numpy().tolist() == [[2, 2, 6], [4, 4, 12]]


@pytest.mark.parametrize(("n", "expected"), [(1, {"train": 1}), (2, {"test": 1, "train": 1})])
def test_a_small_stratum_trains_first(n, expected):
    splits = split_groups(pd.Series("x", index=list(range(n))), FRACTIONS, 0, "test")
    assert splits.value_counts().to_dict() == expected


def labels_of(folder):
    rows = []
    for genre in ("calm", "loud"):
        for score in range(6):
            path = folder / f"{genre}{score}.flac"
            seed = score if genre == "calm" else 100 + score
            noise = np.random.default_rng(seed).standard_normal(8 * 22050).astype(np.float32)
            write_audio(path, 0.05 * noise, 22050)
            rows.append((f"{genre}{score}", path.stem, str(path), genre, "one", f"score{score}", 1.0, True, ""))
    rows.append(("left", "left", "nowhere.flac", "calm", "one", "", 1.0, False, "capped"))
    columns = ["track_id", "utt_id", "path", "genre", "source", "score_id", "confidence", "kept", "reason"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def built(tmp_path):
    settings = CacheSettings(mel={}, chunks=UNIFORM.model_copy(update={"per_track": 2}), split=FRACTIONS, n_non_music=3)
    labels = labels_of(tmp_path)
    speech = pd.DataFrame(
        {
            "utt_id": [f"u{i}" for i in range(4)],
            "speaker_id": ["a", "b", "c", "c"],
            "path": labels["path"][:4],
            "sha256": [f"{i}" * 64 for i in range(4)],
            "duration_s": 8.0,
        }
    )
    # Shorter than a sample at the cache's rate, and five of them.
    for n, tiny in ((1, "tiny1"), (5, "tiny5")):
        write_audio(tmp_path / f"{tiny}.wav", np.full(n, 0.3), 48_000)
        speech.loc[len(speech)] = [tiny, "a", str(tmp_path / f"{tiny}.wav"), tiny.ljust(64, "0"), n / 48_000]
    durations = dict.fromkeys(labels["track_id"], 8.0)

    def build(name):
        counts = build_cache(settings, labels, durations, speech, 0, tmp_path / "work", tmp_path / name)
        return counts, ChunkCache.open(tmp_path / name)

    return build


def test_a_cache_splits_by_score_and_leaves_out_what_is_not_kept(built):
    counts, cache = built("cache")
    music = cache.index[cache.index["is_music"]]
    assert (music.groupby("group")["split"].nunique() == 1).all()
    assert counts["n_chunks"] == {"train": 16, "judge": 4, "test": 4} and "left" not in set(cache.index["track_id"])
    assert cache.genres == ["calm", "loud"] and len(cache.rows(music=False)) == 3
    assert (cache.index.loc[cache.rows(music=False), "genre_code"] == -1).all()


def test_speech_of_a_few_samples_is_left_out_with_its_reason(built, tmp_path):
    counts, cache = built("cache")
    assert counts["n_rejected"] == 2 and not cache.index["utt_id"].str.startswith("tiny").any()
    rejected = pd.read_csv(tmp_path / "cache/rejected.csv")
    assert [path.rsplit("/")[-1] for path in rejected["path"]] == ["tiny1.wav", "tiny5.wav"]
    assert rejected["reason"].str.startswith("too short: 0.000").all()


def test_renderings_are_the_same_moment_of_one_score(built):
    _, cache = built("cache")
    rows = cache.index.iloc[cache.renderings["score2", 1]]
    assert rows["utt_id"].tolist() == ["calm2", "loud2"] and rows["start_s"].tolist() == [3.0, 3.0]


def test_a_batch_is_cut_from_the_spectrogram_its_row_names(built):
    _, cache = built("cache")
    row = int(cache.renderings["score2", 1][0])
    crop = cache.batch(np.array([row]), start_frame=10, n_frames=64)[0]
    np.testing.assert_array_equal(crop.numpy(), cache.mels[row, :, 10:74].astype(np.float32) / 40 + 1)


def test_a_killed_run_keeps_its_finished_tracks(built, tmp_path, monkeypatch):
    built("first")
    for path in list((tmp_path / "work" / "parts").glob("loud*")):
        path.unlink()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work" / "parts").iterdir()}
    built("second")
    assert all(path.stat().st_mtime_ns == modified for path, modified in kept.items())
    for name in ("mels.npy", "index.parquet"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
