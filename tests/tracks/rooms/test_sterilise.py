"""Dry vocals: the same bytes however the work is run, within the budget, at the loudness asked for."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from soundgate.audio.denoise import default_gating, si_sdr_db
from soundgate.audio.io import read_audio, write_audio
from soundgate.audio.loudness import loudness_lufs
from soundgate.codecs.synthetic import speech_like
from soundgate.corpora.index import Entry, build_index, write_corpus
from soundgate.runtime.errors import ConfigError, CorpusError, FormatError
from soundgate.tracks.rooms import sterilise as module
from soundgate.tracks.rooms.segments import load_segments
from soundgate.tracks.rooms.sterilise import (
    SteriliseSettings,
    make_shard,
    plan_shards,
    quantise,
    read_voices,
    sterilise,
)
from tests.workers import as_by_workers

RATE = 16_000
CLIP = 8_000
SETTINGS = {
    "sample_rate": 8_000, "clip_samples": CLIP, "reduce_noise": True, "clean_snr_db": 30.0, "trim_top_db": 40.0,
    "min_duration_s": 1.0, "loudness_lufs": -23.0, "files_per_shard": 2, "budget_gb": 1.0,
}  # fmt: skip


def settings(**changes):
    return SteriliseSettings(**(SETTINGS | changes))


def with_pauses(seed, duration_s):
    speech = speech_like(duration_s, RATE, seed)
    pause = np.zeros(RATE // 3)
    return np.concatenate([pause, speech[: len(speech) // 2], pause, speech[len(speech) // 2 :], pause])


@pytest.fixture
def voices(tmp_path, monkeypatch):
    """Two sources that share utterance and speaker names; source ``b`` is noisy, its truth known."""
    monkeypatch.chdir(tmp_path)
    for source, seconds in (("a", [1.5, 2.2, 3.1, 0.4]), ("b", [2.4, 1.8, 2.9])):
        entries, clean_paths = [], {}
        for number, duration_s in enumerate(seconds):
            clean = with_pauses(number + 10 * (source == "b"), duration_s)
            noise = 0.01 * np.random.default_rng(number).standard_normal(len(clean)) if source == "b" else 0.0
            path = tmp_path / "voices" / source / f"u{number}.wav"
            write_audio(path, 0.5 * (clean + noise), RATE)
            entries.append(Entry(f"u{number}", f"s{number % 2}", path))
            if source == "b":
                write_audio(tmp_path / "truth" / f"u{number}.wav", 0.5 * clean, RATE)
                clean_paths[f"u{number}"] = f"./truth/u{number}.wav"
        if source == "a":
            (tmp_path / "voices" / source / "broken.wav").write_bytes(b"RIFF")
            entries.append(Entry("broken", "s0", tmp_path / "voices" / source / "broken.wav"))
        index, rejected = build_index(entries, source)
        index["clean_path"] = [clean_paths.get(utt_id, "") for utt_id in index["utt_id"]]
        write_corpus(tmp_path / "voices" / source, index, rejected)
    return tmp_path / "voices"


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def run(voices, name, **changes):
    out = voices.parent / name
    sterilise(voices, out / "result", out / "parts", settings(**changes), seed=1)
    return out / "result"


def test_every_recording_is_kept_or_explained(voices):
    files = pd.read_parquet(run(voices, "x") / "files.parquet")
    assert len(files) == 8
    assert files["outcome"].value_counts().to_dict() == {"kept": 6, "dropped": 1, "rejected": 1}
    dropped, rejected = (files[files["outcome"] == outcome].iloc[0] for outcome in ("dropped", "rejected"))
    assert dropped["utt_id"] == "u3" and "after trimming" in dropped["reason"]
    assert rejected["path"].endswith("broken.wav") and rejected["reason"]
    noisy = files[files["source"] == "b"]
    assert noisy["denoised"].all() and (noisy["sdr_after_db"] > noisy["sdr_before_db"]).all()
    clean = files[(files["source"] == "a") & (files["outcome"] == "kept")]
    assert not clean["denoised"].any() and clean["sdr_after_db"].isna().all()
    assert (clean["trimmed_s"] > 0.4).all()


def test_the_bandwidth_is_recorded_and_narrow_voices_are_dropped(voices):
    files = pd.read_parquet(run(voices, "x") / "files.parquet")
    kept = files[files["outcome"] == "kept"]
    assert kept["bandwidth_hz"].between(500, 4_000).all() and files["bandwidth_hz"].isna().sum() == 2
    least = float(kept["bandwidth_hz"].median())
    again = pd.read_parquet(run(voices, "y", min_bandwidth_hz=least) / "files.parquet")
    dropped = again[again["reason"].str.startswith("narrow")]
    assert (again["outcome"] == "kept").sum() == (kept["bandwidth_hz"] >= least).sum()
    assert len(dropped) == (kept["bandwidth_hz"] < least).sum() and (dropped["segments"] == 0).all()


def test_each_shard_has_one_noisy_voice_with_a_control(voices):
    folder = run(voices, "x", files_per_shard=4)
    files = pd.read_parquet(folder / "files.parquet").set_index(["source", "utt_id"])
    found, _ = read_voices(voices)
    firsts = [
        next((voice.source, voice.utt_id) for voice in shard.voices if voice.source == "b")
        for shard in plan_shards(found, settings(files_per_shard=4), 1)
    ]
    controls = files["control_sdr_db"].dropna()
    assert list(controls.index) == firsts and len(firsts) == 2
    assert (controls < files.loc[firsts, "sdr_before_db"]).all()
    name = firsts[0][1]
    noisy, truth = (read_audio(path).wav[0] for path in (voices / f"b/{name}.wav", voices.parent / f"truth/{name}.wav"))
    assert controls.iloc[0] == pytest.approx(si_sdr_db(default_gating(noisy, RATE), truth))


def test_a_voice_that_is_its_own_truth_is_no_control(voices):
    index, rejected = pd.read_parquet(voices / "b/index.parquet"), pd.DataFrame(columns=["path", "reason"])
    write_corpus(voices / "b", index.assign(clean_path=index["path"]), rejected)
    files = pd.read_parquet(run(voices, "x") / "files.parquet")
    assert files["sdr_before_db"].dropna().tolist() == [100.0] * 3 and files["control_sdr_db"].isna().all()


def test_a_control_that_is_no_number_is_left_out(voices, monkeypatch):
    monkeypatch.setattr(module, "default_gating", lambda wav, sample_rate: np.full_like(wav, np.nan))
    files = pd.read_parquet(run(voices, "x") / "files.parquet")
    assert files["control_sdr_db"].isna().all() and files["sdr_after_db"].notna().sum() == 3


def test_clips_have_the_loudness_and_the_length_asked_for(voices):
    segments = load_segments(folder := run(voices, "x"), verify=True)
    files, table = pd.read_parquet(folder / "files.parquet").set_index(["source", "utt_id"]), segments.table
    assert table["segment_id"].is_unique and set(table["speaker_id"]) == {"a-s0", "a-s1", "b-s0", "b-s1"}
    for name, rows in table.groupby(["source", "utt_id"]):
        clips = [segments.segment(row.segment_id) for row in rows.itertuples()]
        assert len(rows) == 1 or (rows["valid_samples"] == CLIP).all()
        length = round(8_000 * (files["duration_s"][name] - files["trimmed_s"][name]))
        last = clips[-1][: rows["valid_samples"].iloc[-1]]
        speech = np.concatenate([*clips[:-1], last[CLIP * (len(clips) - 1) - length :]])
        assert loudness_lufs(speech, 8_000) == pytest.approx(-23, abs=0.05)
        assert all(clip.shape == (CLIP,) and clip.dtype == np.float32 for clip in clips)
        assert not clips[-1][rows["valid_samples"].iloc[-1] :].any()


def test_the_same_bytes_by_workers(voices, monkeypatch):
    one = content(run(voices, "one"))
    as_by_workers(monkeypatch)
    assert content(run(voices, "two")) == one


@pytest.mark.parametrize("shard", [0, 1, 2, 3])
def test_interrupted_at_any_shard_the_next_run_gives_the_same_bytes(voices, monkeypatch, shard):
    whole = content(run(voices, "whole"))
    made = []

    def interrupted(wanted, **arguments):
        if wanted.name == f"shard_{shard:04d}.npy":
            (arguments["folder"] / f".{wanted.name}.1.partial.npy").write_bytes(b"half")
            raise KeyboardInterrupt
        return make_shard(wanted, **arguments)

    def counted(voice, *arguments):
        made.append(voice)
        return sterilise_voice(voice, *arguments)

    sterilise_voice = module.sterilise_voice
    (voices.parent / "x" / "result").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(module, "make_shard", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(voices, "x")
    monkeypatch.setattr(module, "sterilise_voice", counted)
    assert content(run(voices, "x")) == whole
    assert len(made) == 7 - 2 * shard


def test_a_shard_damaged_after_it_was_finished_is_made_again(voices):
    whole = content(run(voices, "x"))
    path = voices.parent / "x" / "result" / "shard_0001.npy"
    path.write_bytes(path.read_bytes()[:-2] + b"zz")
    with pytest.raises(FormatError, match="shard_0001"):
        load_segments(path.parent, verify=True)
    assert content(run(voices, "x")) == whole


def test_the_budget_is_never_exceeded_and_a_larger_one_goes_on(voices):
    whole = content(run(voices, "x"))
    size = sum(map(len, whole.values()))
    for share in (0.5, 0.8):
        limit = 2 * size * share + module.FIXED_BYTES
        folder = run(voices, "y", budget_gb=limit / 1e9)
        assert sum(map(len, content(folder).values())) <= limit
        assert json.loads((folder / "sterilise_state.json").read_text())["state"] in ("halted", "complete")
    halted = run(voices, "y", budget_gb=0.00025)
    state = json.loads((halted / "sterilise_state.json").read_text())
    assert state["state"] == "halted" and 0 < state["files_done"] < state["files_total"] == 7
    assert {name for name in content(halted) if name.endswith("npy")} == set(state["shards"])
    assert len(load_segments(halted, verify=True).table) == state["segments"]
    assert content(run(voices, "y")) == whole


def test_a_budget_too_small_for_one_shard_is_an_error(voices):
    with pytest.raises(ConfigError, match="budget_gb"):
        run(voices, "x", budget_gb=1e-4)


def test_a_changed_file_stops_the_run(voices):
    path = voices / "a" / "u0.wav"
    write_audio(path, 0.5 * read_audio(path).wav, RATE)
    with pytest.raises(FormatError, match="u0.wav"):
        run(voices, "x")


def test_nothing_long_enough_is_an_error(voices):
    with pytest.raises(CorpusError, match="long enough"):
        run(voices, "x", min_duration_s=60.0)
    with pytest.raises(CorpusError, match="index.parquet"):
        read_voices(voices / "a")


def test_the_order_is_shuffled_by_the_seed_alone(voices):
    found, _ = read_voices(voices)
    plans = [plan_shards(found, settings(), seed) for seed in (1, 1, 2)]
    orders = [[voice.utt_id + voice.source for shard in plan for voice in shard.voices] for plan in plans]
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == sorted(orders[2])
    assert [len(shard.voices) for shard in plans[0]] == [2, 2, 2, 1]


def test_bounds_hold_for_every_shard(voices):
    found, _ = read_voices(voices)
    parts = voices.parent / "parts"
    for shard in plan_shards(found, settings(), 1):
        part = make_shard(shard, settings(), voices.parent / "result", parts, voices.parent)
        assert part["bytes"] <= shard.bound_bytes(settings())


def test_no_clip_is_clipped():
    clips = np.array([[0.5, -1.0], [3.0, -1.5], [0.0, 0.0]], np.float32)
    stored, gains = quantise(clips)
    assert gains.tolist() == [1.0, 3.0, 1.0]
    assert stored.tolist() == [[16384, -32767], [32767, -16384], [0, 0]]


def test_work_that_is_not_finished_is_refused(voices):
    folder = run(voices, "x")
    state = json.loads((folder / "sterilise_state.json").read_text())
    (folder / "sterilise_state.json").write_text(json.dumps(state | {"state": "running"}))
    with pytest.raises(FormatError, match="running"):
        load_segments(folder)
    with pytest.raises(FormatError, match="segments"):
        load_segments(folder.parent)
