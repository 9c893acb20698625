"""What a corpus stores of its files' places holds after moves."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from soundgate.audio.io import read_audio, write_audio
from soundgate.corpora.index import read_index
from soundgate.corpora.places import resolve, stored_path
from soundgate.corpora.rooms import RoomsSettings, build_room_corpus
from soundgate.corpora.speech import SpeechSettings, build_speech_corpus
from soundgate.runtime.errors import CorpusError

GENERATED = Path(__file__).resolve().parents[2] / "sources" / "generated_rooms.yaml"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for name in ("a", "b"):
        write_audio(
            tmp_path / "audio" / name / "x.wav", np.linspace(-0.5, 0.5 - len(name) / 9, 8_000 + ord(name)), 8_000
        )
    (tmp_path / "repository").mkdir()
    monkeypatch.chdir(tmp_path / "repository")
    return tmp_path / "repository"


def build(origin):
    build_speech_corpus(SpeechSettings(source="folder", origin=str(origin), seed=0), "data/speech", "work")


def moved(repository, monkeypatch):
    new = repository.parent / "elsewhere" / "deeper" / "repository"
    new.parent.mkdir(parents=True)
    repository.rename(new)
    monkeypatch.chdir(new)


@pytest.mark.parametrize(
    ("path", "stored", "opened"),
    [
        ("data/c/audio/x.wav", "audio/x.wav", "data/c/audio/x.wav"),
        ("../mine/x.wav", "../mine/x.wav", "../mine/x.wav"),
        ("audio/x.wav", "./audio/x.wav", "audio/x.wav"),
        ("/mine/x.wav", "/mine/x.wav", "/mine/x.wav"),
    ],
)
def test_the_text_says_what_a_path_is_relative_to(repository, path, stored, opened):
    assert stored_path(path, "data/c") == stored
    assert resolve("data/c", stored) == opened


def test_an_absolute_origin_is_found_after_a_move(repository, monkeypatch):
    build(repository.parent / "audio")
    moved(repository, monkeypatch)
    assert all(len(read_audio(path).wav) for path in read_index("data/speech")["path"])


def test_a_relative_origin_is_found_from_the_same_place_and_else_missed_in_words(repository, monkeypatch):
    build("../audio")
    assert read_index("data/speech")["path"].tolist() == ["../audio/a/x.wav", "../audio/b/x.wav"]
    moved(repository, monkeypatch)
    with pytest.raises(CorpusError, match=r"\.\./audio: .*seen from .*elsewhere.*absolute path"):
        read_index("data/speech")
    with pytest.raises(CorpusError, match="looked for in .*elsewhere.*absolute path"):
        build("../audio")


def test_audio_of_its_own_moves_with_a_corpus(repository, tmp_path):
    settings = RoomsSettings(name="bad", source="generated", origin=str(GENERATED), n_rooms=1, seed=0)
    build_room_corpus(settings, "data/bad", "work")
    stored = pd.read_parquet("data/bad/index.parquet")["path"]
    assert stored.str.startswith("audio/").all()
    (repository / "data" / "bad").rename(tmp_path / "other")
    assert all(Path(path).is_file() for path in read_index(tmp_path / "other")["path"])
