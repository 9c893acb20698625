"""A listing says what a folder holds, in the same bytes for the same content, and reads unchanged files once."""

import hashlib
import json
import os

import pytest
from ruamel.yaml import YAML

from soundgate.corpora import listing
from soundgate.corpora.listing import write_listing
from soundgate.corpora.origins import folder_origins
from soundgate.runtime.errors import ConfigError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine" / "s1").mkdir(parents=True)
    (tmp_path / "mine" / os.fsdecode(b"caf\xe9.wav")).write_bytes(b"one")
    (tmp_path / "mine" / "s1" / "a;b.wav").write_bytes(b"two")
    (tmp_path / "mine" / "s1" / "gone.wav").symlink_to("/mnt/gone")
    os.mkfifo(tmp_path / "mine" / "pipe.wav")
    return tmp_path / "mine"


@pytest.fixture
def read(monkeypatch):
    names = []
    monkeypatch.setattr(listing, "sha256_of", lambda path: names.append(path.name) or "0" * 64)
    return names


def test_every_entry_is_listed(folder, tmp_path):
    write_listing(str(folder), tmp_path / "out.json", tmp_path / "cache.jsonl")
    card = json.loads((tmp_path / "out.json").read_bytes())
    assert card["origin"] == str(folder)
    assert card["files"] == [
        {"path": r"caf\xe9.wav", "size": 3, "sha256": hashlib.sha256(b"one").hexdigest()},
        {"path": "pipe.wav", "error": "a named pipe, not a file"},
        {"path": "s1/a;b.wav", "size": 3, "sha256": hashlib.sha256(b"two").hexdigest()},
        {"path": "s1/gone.wav", "error": "no such file: a link to /mnt/gone"},
    ]


def test_only_what_changed_is_read_again(folder, tmp_path, read):
    out, cache = tmp_path / "out.json", tmp_path / "cache.jsonl"
    write_listing(str(folder), out, cache)
    first = out.read_bytes()
    assert len(read) == 2
    write_listing(str(folder), out, cache)
    assert len(read) == 2 and out.read_bytes() == first
    (folder / "s1" / "a;b.wav").write_bytes(b"longer")
    write_listing(str(folder), out, cache)
    assert read[2:] == ["a;b.wav"] and out.read_bytes() != first


def test_a_killed_run_keeps_what_it_hashed(folder, tmp_path, monkeypatch, read):
    def killed(path):
        if read:
            raise KeyboardInterrupt
        return read.append(path.name) or "0" * 64

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(listing, "sha256_of", killed)
        write_listing(str(folder), tmp_path / "out.json", tmp_path / "cache.jsonl")
    with (tmp_path / "cache.jsonl").open("a") as file:
        file.write('["/half')
    write_listing(str(folder), tmp_path / "out.json", tmp_path / "cache.jsonl")
    assert len(read) == 2 == len(set(read))


def test_an_origin_that_is_missing_is_said_and_no_error(tmp_path):
    write_listing(str(tmp_path / "nowhere"), tmp_path / "a.json", tmp_path / "c")
    write_listing(None, tmp_path / "b.json", tmp_path / "c")
    assert json.loads((tmp_path / "a.json").read_bytes())["missing"] == "nothing"
    assert json.loads((tmp_path / "b.json").read_bytes()) == {"origin": None}


def params(tmp_path, name="mine"):
    folder, other = {"source": "folder", "origin": "audio"}, {"source": "generated", "origin": "sources/x.yaml"}
    values = {
        "corpus": {
            "speech": folder, "music": dict(other), "rooms": {"pools": [other | {"name": "bad"}]},
            "voices": {"sources": [folder | {"name": name}]},
        },
        "editor": {"songs": {"source": "folder", "origin": None}, "pairs": dict(other)},
        "voice": {"speech": folder | {"origin": "others"}},
    }  # fmt: skip
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(values, file)
    return tmp_path / "params.yaml"


def test_each_corpus_has_its_folder_or_none(tmp_path):
    origins = folder_origins(params(tmp_path))
    assert origins == {
        "speech": "audio", "voice_speech": "others", "music": None, "rooms-bad": None, "voices-mine": "audio",
        "songs": None, "pairs": None,
    }  # fmt: skip
    with pytest.raises(ConfigError, match="fit for a file"):
        folder_origins(params(tmp_path, "../up"))
