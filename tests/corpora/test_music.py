"""The music corpus: one contract over generated scores and folders, the same bytes whoever works."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from click.testing import CliRunner
from pydantic import ValidationError

from soundgate.audio.io import read_audio, write_audio
from soundgate.corpora.index import read_index
from soundgate.corpora.music import TRACK_COLUMNS, MusicSettings, build_music_corpus, read_tracks
from soundgate.corpora.scores import BEAT_TYPES, NOTE_TYPES, draw_score
from soundgate.runtime.errors import CorpusError
from stages.corpus.music import main

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "sources" / "generated_music.yaml"
REAL = ROOT.parent / "shared" / "audio" / "music"


def generated(**changes):
    values = {"source": "generated", "origin": str(LIST), "n_scores": 2, "duration_s": 2.0, "seed": 5}
    return MusicSettings(**values | changes)


def folder(origin="mine", **changes):
    return MusicSettings(**{"source": "folder", "origin": str(origin), "seed": 5} | changes)


def make_music(root):
    """Write five files that can be used, in three formats, and three that cannot."""
    for number, name in enumerate(("jazz/lab__a.flac", "jazz/lab__b.ogg", "rock/club__c.mp3", "rock/d.wav", "e.flac")):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        wav = 0.3 * np.sin(2 * np.pi * (200 + 50 * number) * np.arange(44_100) / 44_100)
        soundfile.write(path, np.stack([wav, 0.5 * wav], axis=1), 44_100)
    (root / "rock" / "broken.flac").write_bytes(b"fLaC")
    (root / "rock" / "copy.flac").write_bytes((root / "jazz" / "lab__a.flac").read_bytes())
    write_audio(root / "jazz" / "silent.wav", np.zeros(4_000), 22_050)
    (root / "rock" / "notes.txt").write_text("no music")
    return root


def contents(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(params=["generated", "folder"])
def settings(request, tmp_path):
    if request.param == "generated":
        return generated()
    make_music(tmp_path / "mine")
    return folder()


def test_every_source_gives_true_tables(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = build_music_corpus(settings, Path("out"))
    index, tracks = read_index("out"), read_tracks("out")
    assert list(tracks) == TRACK_COLUMNS and tracks["track_id"].is_unique
    assert tracks["utt_id"].tolist() == index["utt_id"].tolist()
    assert tracks["source"].tolist() == index["speaker_id"].tolist()
    for row in tracks.itertuples():
        assert hashlib.sha256(Path(row.path).read_bytes()).hexdigest()[:16] == row.track_id
        audio = read_audio(row.path)
        assert row.duration_s == audio.wav.shape[1] / audio.sample_rate
    assert counts["n_tracks"] == len(tracks) and counts["duration_s"] == pytest.approx(tracks["duration_s"].sum())
    assert counts["n_rejected"] == len(pd.read_csv("out/rejected.csv"))
    notes, beats = pd.read_parquet("out/notes.parquet"), pd.read_parquet("out/beats.parquet")
    assert list(notes) == list(NOTE_TYPES) and list(beats) == list(BEAT_TYPES)
    assert set(notes["score_id"]) == set(beats["score_id"]) == set(tracks["score_id"]) - {""}
    assert notes["midi"].dtype == "int64" and beats["downbeat"].dtype == "bool"


def test_every_source_gives_the_same_bytes_by_any_number_of_workers(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for workers in ("1", "2"):
        monkeypatch.setenv("SOUNDGATE_WORKERS", workers)
        build_music_corpus(settings, Path("out"))
        (tmp_path / "out").rename(tmp_path / workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_a_larger_corpus_holds_the_smaller_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build_music_corpus(generated(), Path("two"))
    build_music_corpus(generated(n_scores=4), Path("four"))
    build_music_corpus(generated(seed=6, n_scores=1), Path("other"))
    two, four, other = (contents(tmp_path / name / "audio") for name in ("two", "four", "other"))
    assert len(two) == 16 and len(four) == 32
    assert all(four[name] == content for name, content in two.items())
    assert all(two[name] != content for name, content in other.items())


def test_generated_files_are_what_their_names_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build_music_corpus(generated(n_scores=4), Path("out"))
    tracks = read_tracks("out")
    assert (tracks["utt_id"] == tracks["score_id"] + "-" + tracks["folder_genre"] + "-" + tracks["source"]).all()
    assert (tracks["path"] == "out/audio/" + tracks["folder_genre"] + "/" + tracks["utt_id"] + ".flac").all()
    assert (pd.crosstab(tracks["folder_genre"], tracks["source"]) == 2).all(axis=None)
    info = soundfile.info(tracks["path"][0])
    assert (info.format, info.subtype, info.channels, info.samplerate) == ("FLAC", "PCM_16", 1, 22_050)
    assert (tracks["duration_s"] == 2.0).all()
    notes = pd.read_parquet("out/notes.parquet")
    own = notes[notes["score_id"] == "s0003"].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, draw_score("s0003", 5, 2.0).notes)


def test_styles_can_be_chosen_and_confounded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build_music_corpus(generated(confounded=True, styles=["classical", "lofi"]), Path("out"))
    tracks = pd.read_parquet("out/tracks.parquet")
    assert tracks.groupby("folder_genre")["source"].unique().map(list).to_dict() == {
        "classical": ["stage"],
        "lofi": ["cassette"],
    }


def test_a_folder_names_genres_and_sources_and_lists_what_it_rejects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_music(tmp_path / "mine")
    build_music_corpus(folder(), Path("out"))
    tracks = pd.read_parquet("out/tracks.parquet").set_index("utt_id")
    assert tracks["folder_genre"].to_dict() == {
        "e": "",
        "jazz-lab__a": "jazz",
        "jazz-lab__b": "jazz",
        "rock-club__c": "rock",
        "rock-d": "rock",
    }
    assert tracks["source"].tolist() == ["mine", "jazz", "jazz", "rock", "rock"]
    assert (tracks["score_id"] == "").all()
    assert tracks.loc["rock-club__c", "duration_s"] == pytest.approx(1, abs=0.1)
    rejected = pd.read_csv("out/rejected.csv").set_index("path")["reason"]
    assert set(rejected.index) == {"mine/jazz/silent.wav", "mine/rock/broken.flac", "mine/rock/copy.flac"}
    assert rejected["mine/rock/copy.flac"].startswith("duplicate content")
    build_music_corpus(folder(source_pattern="^(.+?)__"), Path("out"))
    tracks = pd.read_parquet("out/tracks.parquet").set_index("utt_id")
    assert tracks["source"].tolist() == ["unknown", "lab", "lab", "club", "unknown"]


def test_a_cap_is_keyed_and_nested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_music(tmp_path / "mine")

    def chosen(max_tracks):
        build_music_corpus(folder(max_tracks=max_tracks), Path("out"))
        paths = read_tracks("out")["path"].tolist()
        return {*paths, *pd.read_csv("out/rejected.csv")["path"]}

    assert len(chosen(6)) == 6 and chosen(6) < chosen(7) < chosen(None)


def test_a_folder_without_usable_music_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match="nothing"):
        build_music_corpus(folder(), Path("out"))
    (tmp_path / "mine").mkdir()
    with pytest.raises(CorpusError, match="none"):
        build_music_corpus(folder(), Path("out"))
    (tmp_path / "mine" / "a.mp3").write_bytes(b"ID3")
    with pytest.raises(CorpusError, match="at least one usable audio file"):
        build_music_corpus(folder(), Path("out"))


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"source": "tape"}, "source"),
        ({"n_scores": None}, "n_scores"),
        ({"n_scores": 0}, "n_scores"),
        ({"styles": ["lofi", "lofi"]}, "styles"),
        ({"duration_s": 0.2}, "duration_s"),
        ({"source_pattern": "x"}, "0 groups"),
        ({"source_pattern": "(x"}, "no regular expression"),
        ({"seed": -1}, "seed"),
        ({"extra": 1}, "extra"),
    ],
)
def test_wrong_settings_name_their_key(change, key):
    with pytest.raises(ValidationError, match=key):
        generated(**change)


def test_the_stage_reads_its_section_and_replaces_what_was_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    section = f"{{source: generated, origin: {LIST}, n_scores: 1, duration_s: 1.5, sources_per_style: 1, seed: 0}}"
    Path("params.yaml").write_text(f"corpus: {{music: {section}}}\n")
    Path("out").mkdir()
    Path("out/stale").touch()
    result = CliRunner().invoke(main, ["--origin", str(LIST), "--out", "out"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert {path.name for path in Path("out").iterdir()} == {
        "audio",
        "index.parquet",
        "rejected.csv",
        "tracks.parquet",
        "notes.parquet",
        "beats.parquet",
    }
    assert len(pd.read_parquet("out/tracks.parquet")) == 4
    other = CliRunner().invoke(main, ["--origin", str(ROOT / "sources" / "none.yaml"), "--out", "out"])
    assert other.exit_code == 1


@pytest.mark.skipif(not REAL.is_dir(), reason="no shared/audio beside the repository")
def test_real_music_has_its_genres_and_sources(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = build_music_corpus(folder(REAL, source_pattern="^(.+?)__"), Path("out"))
    tracks = pd.read_parquet("out/tracks.parquet")
    files = [path for path in REAL.rglob("*") if path.suffix in (".ogg", ".flac", ".mp3")]
    assert counts["n_tracks"] == len(files) and counts["n_rejected"] == 0
    assert set(tracks["folder_genre"]) == {path.name for path in REAL.iterdir() if path.is_dir()}
    assert "unknown" not in set(tracks["source"]) and 5 < counts["n_sources"] < len(files)
