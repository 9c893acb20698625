"""Every corpus takes any name that a file system allows, and its files are found again by what it stored."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from soundgate.audio.io import read_audio, write_audio
from soundgate.cli import main
from soundgate.corpora.index import read_index
from soundgate.corpora.listing import write_listing
from soundgate.corpora.music import MusicSettings, build_music_corpus, read_tracks
from soundgate.corpora.rooms import RoomsSettings, build_room_corpus
from soundgate.corpora.speech import SpeechSettings, build_speech_corpus
from soundgate.corpora.voices import VoicesSettings, build_voice_corpus
from soundgate.runtime.paths import path_from_text
from soundgate.tracks.editor.pairs.building import pairs_in

NAMES = [
    b"My Speech", b"Bob's voices", b'say "hi"', b"a;touch pwned;b", b"C#", b"a=b,c", b"take(1) {x} [y]", b"$HOME `id`",
    "jörg".encode(), "語音".encode(), b"caf\xe9", b"-rf", b"two\nlines", b"\x1b[31mred", b"back\\slash\\xe9", b"%41 *?",
    b"dots..", b"n" * 200, "e\u0301\u200d\u2028".encode(),
]  # fmt: skip


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Make a folder with an awkward name, in it one folder for each name with one file of that name."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "it's 語 #1; $x=y"
    for number, name in enumerate(NAMES):
        for kind in ("raw", "edit"):
            path = root / os.fsdecode(name) / os.fsdecode(name + f"_{kind}.wav".encode())
            path.parent.mkdir(parents=True, exist_ok=True)
            write_audio(tmp_path / "x.wav", np.linspace(-0.5, 0.4, 1_000 + 2 * number + (kind == "raw")), 8_000)
            (tmp_path / "x.wav").rename(path)
        (root / os.fsdecode(name) / os.fsdecode(name + b".m4a")).touch()
    return root


def build(kind, root):
    given = {"source": "folder", "origin": str(root), "seed": 0}
    if kind == "speech":
        build_speech_corpus(SpeechSettings(**given), "out", "work")
    elif kind == "voices":
        build_voice_corpus(VoicesSettings(name="v", **given), "out", "work")
    elif kind == "rooms":
        build_room_corpus(RoomsSettings(name="bad", **given), "out", "work")
    else:
        build_music_corpus(MusicSettings(**given), "out")
        assert read_tracks("out")["path"].tolist() == read_index("out")["path"].tolist()


@pytest.mark.parametrize("kind", ["speech", "voices", "rooms", "music"])
@pytest.mark.parametrize("relative", [False, True])
def test_every_corpus_takes_every_name(root, kind, relative):
    build(kind, Path(root.name) if relative else root)
    index, rejected = read_index("out"), pd.read_csv("out/rejected.csv")
    assert len(index) == 2 * len(NAMES) and index["utt_id"].is_unique
    assert all(len(read_audio(path_from_text(path)).wav) for path in index["path"])
    found = {path_from_text(path).resolve() for path in index["path"]}
    assert found == {path.resolve() for path in root.rglob("*.wav")}
    assert {path_from_text(path).resolve() for path in rejected["path"]} == {p.resolve() for p in root.rglob("*.m4a")}
    assert rejected["reason"].str.contains("ffmpeg").all() and index["path"].map(str.isprintable).any()
    if kind in ("speech", "music"):
        assert index["speaker_id"].nunique() == len(NAMES)


def test_pairs_and_listings_take_every_name(root, tmp_path):
    songs, refused = pairs_in(root)
    assert len(songs) == len(NAMES) == len(refused)
    assert all(path_from_text(path).is_file() for song in songs for path in (song.path, song.raw_path))
    write_listing(str(root), tmp_path / "out.json", tmp_path / "cache")
    assert (tmp_path / "out.json").read_text().count('"sha256"') == 3 * len(NAMES)


@pytest.mark.parametrize("kind", ["speech", "music", "rooms", "voices"])
def test_the_check_names_what_it_refuses(root, kind):
    result = CliRunner().invoke(main, ["corpora", "check", str(root), "--as", kind])
    assert result.exit_code == 0, result.output
    assert f"{2 * len(NAMES)} files of" in result.output and f"{len(NAMES)} files refused" in result.output
    assert result.output.count("ffmpeg") == len(NAMES)


def test_the_check_says_what_is_too_little(tmp_path):
    (tmp_path / "memo.m4a").touch()
    result = CliRunner().invoke(main, ["corpora", "check", str(tmp_path)])
    assert result.exit_code == 1
    assert "memo.m4a: .m4a is not read" in result.output and "too little for voice" in result.output
    assert CliRunner().invoke(main, ["corpora", "check", str(tmp_path / "nowhere")]).exit_code == 1
