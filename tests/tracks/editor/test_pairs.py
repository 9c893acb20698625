from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from soundgate.audio.exact import read_exact
from soundgate.audio.io import write_audio
from soundgate.runtime.config import parse_section
from soundgate.runtime.errors import ConfigError, CorpusError, FormatError
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.pairs.assembling import assemble
from soundgate.tracks.editor.pairs.building import PairsSettings, Song, build_pairs, pairs_in, split_groups
from soundgate.tracks.editor.pairs.drawing import MIN_BARS, DrawSettings, draw_plan
from soundgate.tracks.editor.pairs.table import read_pairs, truth_of
from soundgate.tracks.editor.rendering import render
from soundgate.tracks.editor.timeline import beat_spans, labels_of
from soundgate.tracks.editor.vocabulary import BEAT_LABELS, Label

RATE = 22_050
DRAW = DrawSettings(
    raw_s=30, ratio=(1.65, 2.85), reordered=0.5, dead_air=0.35, take_noise_db=(-40, -30), effect_db=(3, 9)
)
SETTINGS = PairsSettings(
    source="generated", origin="sources/none.yaml", draw=DRAW, split={"validation": 0.2, "test": 0.2}, tempo_bpm=110
)
BEAT = 8_820


def song(seconds=20.0, seed=0):
    """A song no two bars of which are alike: tones on a grid of beats."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    beat = (t * RATE // BEAT).astype(int)
    pitch = rng.uniform(200, 2_000, beat.max() + 1)[beat]
    return (0.4 * np.sin(2 * np.pi * pitch * t) + 0.01 * rng.normal(size=len(t))).astype(np.float32)


def beats(seconds=20.0):
    return np.arange(0, round(seconds * RATE), BEAT)


def assembled(seed, n_bars=10, draw=DRAW):
    generator = keyed_generator(seed, "test")
    plan = draw_plan(n_bars, 2.2, draw, generator)
    return plan, assemble(song(), RATE, beats()[: 4 * n_bars + 1], plan, generator)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("n_bars", [MIN_BARS, 12])
def test_a_plan_plays_every_bar_once_and_is_as_long_as_asked(seed, n_bars):
    plan = draw_plan(n_bars, 2.0, DRAW, keyed_generator(seed, "test"))
    played = [plan.parts[number] for number in plan.order]
    assert [bar for part in played for bar in part.bars] == list(range(n_bars))
    assert {"FADE_IN", "LOOP", "EFFECT", "TRANSITION", "FADE_OUT"} <= {part.label for part in played}
    assert all(part.label == "CUT" for number, part in enumerate(plan.parts) if number not in plan.order)
    raw = sum(part.n_bars for part in plan.parts)
    heard = sum(p.n_bars // 2 if p.label == "TRANSITION" else p.n_bars * p.repeats for p in played)
    assert raw == n_bars or abs(raw - 2.0 * heard) <= 1.5


@pytest.mark.parametrize("seed", range(10))
def test_the_edit_of_the_raw_recording_is_the_song(seed):
    plan, made = assembled(seed)
    finished = song()
    out = render(made.raw.astype(np.float64) / 2**15, made.edit)[0]
    position = 0
    for number in plan.order:
        part = plan.parts[number]
        start, stop = part.bars[0] * 4 * BEAT, (part.bars[-1] + 1) * 4 * BEAT
        length = (stop - start) // (2 if part.label == "TRANSITION" else 1)
        if part.label in ("KEEP", "LOOP", "EFFECT"):
            inner = slice(RATE // 10, length - RATE // 10)
            heard, wanted = out[position : position + length][inner], finished[start:stop][inner]
            scale = np.dot(heard, wanted) / np.dot(wanted, wanted)
            error = np.linalg.norm(heard - scale * wanted) / np.linalg.norm(wanted)
            assert error < 0.02, (part, error)
            assert 0.3 < scale <= 1.01
        position += length * part.repeats
    assert position == len(out)


def test_every_beat_is_labelled_as_drawn():
    plan, made = assembled(3)
    spans = beat_spans(made.beats, made.edit.n_samples)
    labels = labels_of(made.edit, spans)
    wanted = [Label[part.label] for part in plan.parts for _ in range(4 * part.n_bars)]
    np.testing.assert_array_equal(labels, wanted)
    assert set(labels) == set(BEAT_LABELS)


def test_a_repeated_take_is_never_the_same_samples():
    plan, made = assembled(1, draw=DRAW.model_copy(update={"dead_air": 0.0}))
    spans = beat_spans(made.beats, made.edit.n_samples)
    beats_of = [
        (b, number) for number, part in enumerate(plan.parts) for bar in part.bars for b in range(4 * bar, 4 * bar + 4)
    ]
    seen = {}
    inner = slice(400, -400)
    for (beat, number), (start, stop) in zip(beats_of, spans, strict=True):
        for other in seen.get(beat, []):
            assert not np.array_equal(made.raw[0, start:stop][inner], made.raw[0, other[0] : other[1]][inner]), number
        seen.setdefault(beat, []).append((start, stop))
    assert max(map(len, seen.values())) > 1


def test_groups_are_never_in_two_splits():
    names = [f"s{n}" for n in range(30)]
    split = split_groups(names * 3, SETTINGS.split, 0)
    assert set(split) == set(names)
    assert [list(split.values()).count(name) for name in ("train", "validation", "test")] == [18, 6, 6]
    assert split == split_groups(reversed(names), SETTINGS.split, 0) != split_groups(names, SETTINGS.split, 1)
    assert set(split_groups(["a", "b"], SETTINGS.split, 0).values()) == {"test"}
    assert sorted(split_groups(["a", "b", "c"], SETTINGS.split, 0).values()) == ["test", "train", "validation"]


@pytest.fixture
def songs(tmp_path):
    made = []
    for number in range(4):
        path = tmp_path / f"song{number}.flac"
        write_audio(path, song(20, number), RATE)
        made.append(Song(f"song{number}", f"song{number}", str(path), "", tuple(beats() / RATE)))
    return made


def test_pairs_hold_what_their_edit_list_says(tmp_path, songs):
    counts = build_pairs(SETTINGS, songs, 0, tmp_path / "work", tmp_path / "out")
    assert sum(counts["n_pairs"].values()) == 4 and counts["n_rejected"] == 0
    assert 1.5 < counts["ratio"] < 3.0
    table = read_pairs(tmp_path / "out")
    for row in table.itertuples():
        raw, edit = read_exact(row.raw_path), read_exact(row.edit_path)
        edit_list, raw_beats = truth_of(row)
        assert raw.samples.shape == (1, row.raw_samples) and edit.samples.shape == (1, row.edit_samples)
        np.testing.assert_array_equal(render((raw.samples >> 16).astype(np.int16), edit_list), edit.samples >> 16)
        assert raw_beats[0] == 0 and raw_beats[-1] < row.raw_samples


def test_a_killed_run_goes_on_and_gives_the_same_bytes(tmp_path, songs):
    build_pairs(SETTINGS, songs, 0, tmp_path / "work", tmp_path / "out")
    # As if killed after the second song.
    build_pairs(SETTINGS, songs[:2], 0, tmp_path / "work2", tmp_path / "out2")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out2/audio").iterdir()}
    build_pairs(SETTINGS, songs, 0, tmp_path / "work2", tmp_path / "out2")
    assert {path: path.stat().st_mtime_ns for path in written} == written
    files = sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert files and all((tmp_path / "out" / f).read_bytes() == (tmp_path / "out2" / f).read_bytes() for f in files)


def test_another_seed_draws_another_edit_and_order_plays_no_part(tmp_path, songs):
    build_pairs(SETTINGS, songs, 0, tmp_path / "w0", tmp_path / "a")
    build_pairs(SETTINGS, songs[::-1], 0, tmp_path / "w1", tmp_path / "b")
    build_pairs(SETTINGS, songs, 1, tmp_path / "w2", tmp_path / "c")
    a, b, c = (pd.read_parquet(tmp_path / name / "pairs.parquet") for name in "abc")
    pd.testing.assert_frame_equal(a, b)
    assert not (a["edit_list"] == c["edit_list"]).any()


def test_songs_that_cannot_be_used_are_listed(tmp_path, songs):
    write_audio(tmp_path / "slow.wav", song()[::3], 8_000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF....")
    short = songs[0]._replace(pair_id="short", beats_s=songs[0].beats_s[:20])
    beatless = songs[0]._replace(pair_id="none", path=str(tmp_path / "click.wav"), beats_s=())
    write_audio(tmp_path / "click.wav", np.eye(1, 3_000, dtype=np.float32), RATE)
    odd = [short, beatless, Song("slow", "slow", str(tmp_path / "slow.wav"), "", songs[0].beats_s)]
    odd.append(Song("broken", "broken", str(tmp_path / "broken.wav"), "", ()))
    counts = build_pairs(SETTINGS, [*songs, *odd], 0, tmp_path / "work", tmp_path / "out")
    assert counts["n_rejected"] == 4
    reasons = pd.read_csv(tmp_path / "out/rejected.csv")["reason"]
    assert reasons.str.contains("bars|rate|truncated|unreadable").all()
    with pytest.raises(CorpusError, match="bars"):
        build_pairs(SETTINGS, [short], 0, tmp_path / "work2", tmp_path / "out2")


def test_a_folder_of_pairs_is_taken_over(tmp_path):
    root = tmp_path / "mine"
    write_audio(root / "live/one_raw.wav", np.stack([song()] * 2), RATE)
    write_audio(root / "live/one_edit.flac", song()[: 5 * RATE], RATE)
    write_audio(root / "two_raw.wav", song(), RATE)
    write_audio(root / "three.wav", song(), RATE)
    (root / "four_raw.m4a").touch()
    found, refused = pairs_in(root)
    assert [pair.pair_id for pair in found] == ["live_one"]
    counts = build_pairs(SETTINGS, found, 0, tmp_path / "work", tmp_path / "out", refused)
    assert counts["n_pairs"]["test"] == 1 and counts["n_rejected"] == 3
    rejected = pd.read_csv(tmp_path / "out/rejected.csv")
    reasons = {Path(row.path).name: row.reason for row in rejected.itertuples()}
    assert "ffmpeg" in reasons["four_raw.m4a"] and "half" in reasons["two_raw.wav"] and "_raw" in reasons["three.wav"]
    [row] = read_pairs(tmp_path / "out").itertuples()
    assert truth_of(row) is None and len(row.beats) > 20
    np.testing.assert_allclose(read_exact(row.edit_path).samples / 2**31, song()[None, : 5 * RATE], atol=1e-4)
    with pytest.raises(CorpusError, match="found no"):
        pairs_in(tmp_path / "work")
    with pytest.raises(CorpusError, match="nothing"):
        pairs_in(tmp_path / "nowhere")


def test_a_folder_that_generated_pairs_would_not_read_is_refused():
    values = SETTINGS.model_dump() | {"origin": "my/pairs"}
    with pytest.raises(ConfigError, match=r"editor\.pairs\.origin: expected .*source=folder; found 'my/pairs'"):
        parse_section("editor.pairs", values, PairsSettings)
    assert parse_section("editor.pairs", values | {"source": "folder"}, PairsSettings).origin == "my/pairs"


def test_pairs_whose_names_differ_in_anything_stay_apart(tmp_path):
    names = ["東京", "大阪", "song 1", "song#1", "song_1", "Song_1", "caf\u00e9", "cafe\u0301", "a/b", "a_b", "?", "!"]
    for seconds, name in enumerate(names, 2):
        for kind in ("raw", "edit"):
            write_audio(tmp_path / f"mine/{name}_{kind}.wav", song(seconds), RATE)
    found, _ = pairs_in(tmp_path / "mine")
    build_pairs(SETTINGS, found, 0, tmp_path / "work", tmp_path / "out")
    table = read_pairs(tmp_path / "out")
    assert table["pair_id"].str.casefold().nunique() == len(names) == table["group"].nunique()
    assert sorted(table["raw_samples"] // RATE) == list(range(2, 2 + len(names)))
    for row in table.itertuples():
        assert read_exact(row.raw_path).samples.shape[1] == row.raw_samples


@pytest.mark.parametrize("n", [1, 2, 5, 1_000])
def test_a_pair_with_a_clip_of_next_to_nothing_is_left_out_with_its_reason(tmp_path, n):
    for name, raw, edit in (("good", song(), song(8)), ("a", song()[:n], song(8)), ("b", song(), song()[-n:])):
        write_audio(tmp_path / f"mine/{name}_raw.wav", raw, RATE)
        write_audio(tmp_path / f"mine/{name}_edit.wav", edit, 48_000)
    found, _ = pairs_in(tmp_path / "mine")
    counts = build_pairs(SETTINGS, found, 0, tmp_path / "work", tmp_path / "out")
    assert counts["n_rejected"] == 2 and read_pairs(tmp_path / "out")["pair_id"].tolist() == ["good"]
    reasons = pd.read_csv(tmp_path / "out/rejected.csv")["reason"]
    assert reasons.str.contains("too short|empty").all()


def test_two_files_of_one_half_are_named(tmp_path):
    for name in ("one_raw.wav", "one_raw.flac", "one_edit.wav"):
        write_audio(tmp_path / name, song(2), RATE)
    [pair], [refused] = pairs_in(tmp_path)
    assert pair.raw_path.endswith("one_raw.flac") and refused.path.name == "one_raw.wav"
    assert "one_raw.flac" in refused.reason


def test_a_table_that_is_none_is_refused(tmp_path):
    with pytest.raises(FormatError, match="table of pairs"):
        read_pairs(tmp_path)
    pd.DataFrame({"pair_id": ["a"]}).to_parquet(tmp_path / "pairs.parquet")
    with pytest.raises(FormatError, match="without"):
        read_pairs(tmp_path)
