import numpy as np
import pandas as pd
import pytest
import torch

from soundgate.audio.io import read_audio, write_audio
from soundgate.audio.loudness import loudness_lufs
from soundgate.corpora.index import build_index
from soundgate.runtime.errors import CorpusError, FormatError
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.caching import SplitSettings, deal_out
from tests.tracks.voice.spoken import (
    HOP,
    RATE,
    SETTINGS,
    SPEAKERS,
    build_cache,
    spoken_cache,
    write_speech,
)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spoken")
    return folder, spoken_cache(folder)[0]


def test_nobody_hears_the_speakers_of_the_judge_or_of_the_test(spoken):
    _, cache = spoken
    of = {split: set(cache.speakers(split)) for split in ("train", "validation", "judge", "test")}
    assert of["train"] == of["validation"] and len(of["judge"]) == len(of["test"]) == 2
    assert not of["train"] & of["judge"] and not of["train"] & of["test"] and not of["judge"] & of["test"]
    rows = np.concatenate([cache.rows(split) for split in of])
    assert sorted(rows) == list(range(len(cache.table))) and cache.table["utterance"].is_unique
    assert cache.speakers() == sorted(SPEAKERS)
    # Two at least can be compared with one another, in training and in validation.
    counts = cache.table[cache.table["split"].isin(["train", "validation"])].groupby(["speaker", "split"]).size()
    assert (counts >= 2).all() and len(counts) == 2 * len(of["train"])


TEN = [f"speaker {number}" for number in range(10)]


def dealt(names, fold, seed=0):
    return deal_out(names, SplitSettings(judge=0.25, test=0.25, validation=0.2, folds=5, fold=fold), seed)


@pytest.mark.parametrize("count", [10, 13])
def test_over_the_folds_each_speaker_is_unseen_once_and_by_everyone(count):
    names = [f"speaker {number}" for number in range(count)]
    folds = [dealt(names, fold) for fold in range(5)]
    tested = [name for fold in folds for name, split in fold.items() if split == "test"]
    assert sorted(tested) == sorted(names), "each speaker is in one test"
    for fold in folds:
        assert set(fold) == set(names)
        assert all(list(fold.values()).count(split) >= 2 for split in ("test", "judge", "train"))


def test_the_draw_depends_on_names_and_seed_alone():
    for fold in (None, 3):
        assert dealt(TEN, fold) == dealt(reversed(TEN), fold) != dealt(TEN, fold, seed=1)
    # What was drawn before there were folds: the first of the order.
    order = keyed_generator(0, "voice-cache", "speakers").permutation(TEN).tolist()
    assert dealt(TEN, None) == dict(zip(order, ["test"] * 2 + ["judge"] * 2 + ["train"] * 6, strict=True))


def test_folds_that_there_are_not_and_folds_of_a_single_speaker_are_refused():
    with pytest.raises(ValueError, match="fold 5 of 5: they are numbered from 0"):
        dealt(TEN, 5)
    with pytest.raises(CorpusError, match="9 usable speakers, of which 1 test"):
        dealt(TEN[:9], 0)


def test_an_utterance_is_its_file_at_the_loudness_asked_for(spoken):
    _, cache = spoken
    for row in (0, len(cache.table) - 1):
        wav, truth = cache.wave(row), read_audio(cache.table["path"][row], RATE, mono=True).wav[0]
        assert loudness_lufs(wav, RATE) == pytest.approx(-23, abs=0.1)
        gain = wav @ truth / (truth @ truth)
        np.testing.assert_allclose(wav, gain * truth, atol=1e-4)
        assert len(cache.f0(row)) == 1 + len(wav) // HOP


def test_the_fundamental_of_a_speaker_is_the_planted_one(spoken):
    _, cache = spoken
    for speaker, own in cache.table.groupby("speaker"):
        assert np.exp(own["log_f0_mean"].iloc[0]) == pytest.approx(SPEAKERS[speaker][0], rel=0.03)
        # Of a sine of 0.1.
        assert own["log_f0_std"].iloc[0] == pytest.approx(0.1 / np.sqrt(2), abs=0.015)
        voiced = np.concatenate([cache.f0(row) for row in own.index])
        assert np.log(voiced[voiced > 0]).mean() == pytest.approx(own["log_f0_mean"].iloc[0], abs=1e-5)


def test_crops_of_samples_and_fundamentals_are_of_the_same_moment(spoken):
    _, cache = spoken
    rows, n = cache.rows("judge")[:3], 4 * HOP + 5
    batch = cache.batch(rows, n, torch.Generator().manual_seed(1))
    assert batch.wav.shape == (3, n) and batch.f0.shape == (3, cache.settings.n_frames(n))
    for position, row in enumerate(rows):
        wav = cache.wave(row)
        starts = [s for s in range(0, len(wav) - n + 1, HOP) if np.array_equal(wav[s : s + n], batch.wav[position])]
        assert len(starts) == 1
        frames = cache.f0(row)[starts[0] // HOP :][: batch.f0.shape[1]]
        np.testing.assert_array_equal(batch.f0[position], frames)
        assert cache.speakers()[batch.speaker[position]] == cache.table["speaker"][row]
    again = cache.batch(rows, n, torch.Generator().manual_seed(1))
    other = cache.batch(rows, n, torch.Generator().manual_seed(2))
    assert torch.equal(again.wav, batch.wav) and not torch.equal(other.wav, batch.wav)


def test_without_a_generator_a_crop_is_the_middle_and_a_short_utterance_ends_in_silence(spoken):
    _, cache = spoken
    row = int(cache.rows("test")[0])
    wav, f0 = cache.wave(row), cache.f0(row)
    start = (len(wav) - 10 * HOP) // HOP // 2 * HOP
    np.testing.assert_array_equal(cache.batch([row], 10 * HOP, None).wav[0], wav[start : start + 10 * HOP])
    long = cache.batch([row], len(wav) + 1_000, None)
    np.testing.assert_array_equal(long.wav[0, : len(wav)], wav)
    np.testing.assert_array_equal(long.f0[0, : len(f0)], f0)
    assert not long.wav[0, len(wav) :].any() and not long.f0[0, len(f0) :].any()


def test_who_speaks_too_little_or_without_a_voice_is_left_out_with_a_reason(spoken, tmp_path):
    index, _ = write_speech(tmp_path / "speech")
    index = index[~((index["speaker_id"] == "a") & (index["utt_id"] > "a-2"))]
    noise = np.random.default_rng(0).normal(size=2 * RATE) * np.hanning(2 * RATE) * 0.1
    write_audio(tmp_path / "whisper.flac", np.clip(np.diff(noise, 3, append=[0] * 3), -1, 1), RATE)
    write_audio(tmp_path / "click.flac", np.full(RATE // 2, 0.1), RATE)
    files = [("b-9", "b", tmp_path / "click.flac"), ("b-8", "b", tmp_path / "whisper.flac")]
    more, _ = build_index(files, "more")
    settings = SETTINGS.model_copy(update={"speaker_s": 100.0})
    build_cache(settings, pd.concat([index, more], ignore_index=True), 0, tmp_path / "work", tmp_path / "out")
    rejected = pd.read_csv(tmp_path / "out/rejected.csv", keep_default_na=False).set_index("utterance")
    assert rejected.loc["b-9", "reason"] == "shorter than 1 s"
    assert rejected.loc["b-8", "reason"] == "no voiced frames"
    assert rejected.loc["", "speaker"] == "a" and rejected.loc["", "reason"] == "3 usable utterances, 4 are needed"
    assert "a" not in VoiceCache.open(tmp_path / "out").speakers() and len(rejected) == 3


def test_a_speaker_gives_about_the_seconds_asked_for(spoken, tmp_path):
    index, _ = write_speech(tmp_path / "speech", n_utterances=8)
    settings = SETTINGS.model_copy(update={"max_s": 1.5})
    build_cache(settings, index, 0, tmp_path / "work", tmp_path / "out")
    cache = VoiceCache.open(tmp_path / "out")
    seconds = cache.table.groupby("speaker")["n_samples"].sum() / RATE
    assert seconds.between(8, 9.5).all() and (cache.table["n_samples"] == round(1.5 * RATE)).all()


def test_too_few_speakers_are_refused(tmp_path):
    few = {name: SPEAKERS[name] for name in "abcde"}
    index, _ = write_speech(tmp_path / "speech", speakers=few, n_utterances=4)
    with pytest.raises(CorpusError, match="5 usable speakers, of which 2 test and 2 train judges"):
        build_cache(SETTINGS, index, 0, tmp_path / "work", tmp_path / "out")


def test_finished_utterances_are_taken_as_they_are_and_the_bytes_are_the_same(spoken, tmp_path):
    folder, _ = spoken
    index, _ = write_speech(tmp_path / "speech")
    keyed = index.assign(path=[str(folder / "speech/audio" / p.split("/audio/")[1]) for p in index["path"]])
    build_cache(SETTINGS, keyed, 0, tmp_path / "work", tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "work/parts").iterdir()}
    for path in list(times)[::2]:
        path.unlink()
        del times[path]
    build_cache(SETTINGS, keyed, 0, tmp_path / "work", tmp_path / "again")
    assert {path: path.stat().st_mtime_ns for path in times} == times
    for file in (tmp_path / "out").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def test_a_folder_that_is_no_cache_is_refused(spoken, tmp_path):
    with pytest.raises(FormatError, match="cache of utterances"):
        VoiceCache.open(tmp_path)
    folder, _ = spoken
    for file in (folder / "cache").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    np.save(tmp_path / "f0_judge.npy", np.zeros(3, np.float32))
    with pytest.raises(FormatError, match="samples and frames of all rows"):
        VoiceCache.open(tmp_path)
