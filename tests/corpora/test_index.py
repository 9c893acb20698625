"""The index tells the truth about every file, and bad files never end a run."""

import hashlib
import os
import re
import unicodedata

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from soundgate.audio.io import write_audio
from soundgate.corpora.index import (
    Entry,
    build_index,
    file_names,
    nothing_acquired,
    read_index,
    record_corpus,
    safe_id,
    unique_ids,
    write_corpus,
)
from soundgate.runtime.console import logger
from soundgate.runtime.errors import CorpusError, FormatError


def ramp(frames, channels=1):
    return np.tile(np.linspace(-0.5, 0.5, frames), (channels, 1))


@pytest.fixture
def entries(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_audio("audio/b.wav", ramp(8_000, 2), 16_000)
    write_audio("audio/a.flac", ramp(12_000), 24_000)
    os.link("audio/a.flac", "audio/copy.flac")
    (tmp_path / "audio" / 'bad, "quoted".wav').write_bytes(b"")
    names = {"z": "b.wav", "a": "a.flac", "c": "copy.flac", "e": 'bad, "quoted".wav', "m": "missing.wav"}
    return [Entry(utt_id, "s1", tmp_path / "audio" / name) for utt_id, name in names.items()]


def test_known_values(entries):
    index, rejected = build_index(entries, "test", ".")
    assert index["utt_id"].tolist() == ["a", "z"]
    assert index["path"].tolist() == ["audio/a.flac", "audio/b.wav"]
    assert index["samples"].tolist() == [12_000, 8_000]
    assert index["sample_rate"].tolist() == [24_000, 16_000]
    assert index["channels"].tolist() == [1, 2]
    assert index["duration_s"].tolist() == [0.5, 0.5]
    assert index["sha256"][0] == hashlib.sha256(entries[1].path.read_bytes()).hexdigest()
    assert rejected.values.tolist() == [
        ["audio/copy.flac", "duplicate content of audio/a.flac"],
        ['audio/bad, "quoted".wav', "empty: 0 bytes"],
        ["audio/missing.wav", "unreadable: No such file or directory"],
    ]


def test_the_order_and_number_of_workers_do_not_matter(entries, tmp_path, monkeypatch):
    write_corpus(tmp_path / "one", *build_index(entries, "test"))
    monkeypatch.setenv("SOUNDGATE_WORKERS", "2")
    write_corpus(tmp_path / "two", *build_index(entries[::-1], "test"))
    for name in ("index.parquet", "rejected.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_what_is_written_is_read_back(entries, tmp_path):
    index, rejected = build_index(entries, "test")
    write_corpus(tmp_path / "out", index, rejected)
    pd.testing.assert_frame_equal(read_index(tmp_path / "out"), index)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "out" / "rejected.csv"), rejected, check_dtype=False)


def test_rejected_keeps_its_header_when_empty(entries, tmp_path):
    write_corpus(tmp_path / "out", *build_index(entries[:2], "test"))
    assert (tmp_path / "out" / "rejected.csv").read_text() == "path,reason\n"


def test_what_is_recorded_is_counted_and_said(entries, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(logger, "info", lambda text, *values: said.append(text % values))
    index, rejected = build_index([*entries[:3], entries[1]._replace(speaker_id="s2", path=entries[3].path)], "test")
    counts = record_corpus(tmp_path / "out", index, rejected, "some rooms", files="n_irs", groups="n_rooms")
    assert counts == {"n_irs": 2, "n_rooms": 1, "n_rejected": 2, "duration_s": 1.0}
    assert list(record_corpus(tmp_path / "out", index, rejected, "voices"))[:2] == ["n_utterances", "n_speakers"]
    assert said[0] == f"some rooms: {counts}"
    pd.testing.assert_frame_equal(read_index(tmp_path / "out"), index)
    assert len(pd.read_csv(tmp_path / "out" / "rejected.csv")) == 2


def test_nothing_acquired_is_recorded_but_never_read(entries, tmp_path):
    index, rejected = nothing_acquired("rooms", {"rt60_true_s": "float64"})
    assert list(index) == [*build_index(entries, "test")[0], "rt60_true_s"] and index["rt60_true_s"].dtype == "float64"
    counts = record_corpus(tmp_path / "out", index, rejected, "rooms")
    assert counts == {"n_utterances": 0, "n_speakers": 0, "n_rejected": 0, "duration_s": 0.0}
    with pytest.raises(CorpusError, match="nothing was acquired"):
        read_index(tmp_path / "out")


def test_nothing_usable_is_an_error(entries):
    with pytest.raises(CorpusError, match="empty: 0 bytes"):
        build_index(entries[3:], "test")
    with pytest.raises(CorpusError, match="no files"):
        build_index([], "test")


def test_ids_are_safe_and_unique():
    assert unique_ids(["a/b", "a b", "A_B", "ä", "a\u0308", "x", "x", "x-2"]) == [
        "a_b",
        "a_b-2",
        "A_B-3",
        "ä",
        "ä-2",
        "x",
        "x-2",
        "x-2-2",
    ]
    assert re.fullmatch(r"_\.\._etc_passwd-[0-9a-f]{8}", safe_id("../../etc/passwd"))
    assert re.fullmatch(r"_-[0-9a-f]{8}", safe_id(".."))


def test_letters_of_every_script_stay_in_ids():
    for name in ("東京", "Москва", "हिन्दी", "العربية", "Jörg_1.b-c"):
        assert safe_id(name) == name


@pytest.mark.parametrize("long", ["y" * 500, "語" * 500, "y" * 121])
def test_long_ids_are_cut_and_stay_apart(long):
    ids = [safe_id(long), safe_id(long + "a"), safe_id(long + "b")]
    assert all(len(own.encode()) <= 120 for own in ids) and len(set(ids)) == 3


@given(st.lists(st.text(st.characters(), min_size=1, max_size=12), unique=True, max_size=8))
def test_different_names_never_become_one(names):
    ids = unique_ids(names)
    assert len({unicodedata.normalize("NFKD", own).casefold() for own in ids}) == len(names)
    for own in ids:
        own.encode("utf-8")
        assert own and own[0] != "." and not re.search(r"[\s/\0]", own)


def test_files_of_different_speakers_are_called_differently():
    names = ["R&B", "R B", "R_B", "r_b", "東京", "C#", "C?", "a" * 300]
    called = file_names([*names, "R&B"])
    assert called.keys() == set(names) and len({name.casefold() for name in called.values()}) == len(names)
    assert file_names(names[:4])["R_B"].startswith("R_B") and not re.search("[#?%&]", "".join(called.values()))


def test_names_that_lose_something_do_not_depend_on_their_neighbours():
    names = ["song 1", "song#1", "song?1", "caf\udce9", "caf\udcea"]
    alone = [safe_id(name) for name in names]
    assert len(set(alone)) == len(names) and unique_ids(reversed(names)) == alone[::-1]


def test_colliding_ids_are_told_apart(entries):
    index, _ = build_index([entry._replace(utt_id="same") for entry in entries[:2]], "test", ".")
    assert dict(zip(index["utt_id"], index["path"], strict=True)) == {"same": "audio/a.flac", "same-2": "audio/b.wav"}


def test_channels_of_which_no_mono_is_left_are_refused(entries):
    path = entries[0].path.with_name("antiphase.wav")
    write_audio(path, np.concatenate([ramp(900), -ramp(900)]), 16_000)
    _, rejected = build_index([entries[0], entries[0]._replace(utt_id="anti", path=path)], "test")
    assert rejected["reason"].tolist() == ["all zero: the 2 channels cancel each other"]


def test_what_was_read_in_spite_of_its_header_has_a_note(tmp_path, entries, caplog):
    path = entries[0].path.with_name("piped.wav")
    soundfile.write(path, np.sin(np.arange(900)), 16_000)
    content = path.read_bytes()
    at = content.index(b"data") + 4
    path.write_bytes(content[:at] + b"\xff" * 4 + content[at + 4 :])
    logger.addHandler(caplog.handler)
    index, _ = build_index([*entries[:2], entries[0]._replace(utt_id="piped", path=path)], "test")
    logger.removeHandler(caplog.handler)
    notes = dict(zip(index["utt_id"], index["note"], strict=True))
    assert "no length in the WAV header" in notes.pop("piped") and set(notes.values()) == {""}
    assert "1 files read as far as there is audio" in caplog.text
    write_corpus(tmp_path / "out", index, pd.DataFrame(columns=["path", "reason"]))
    assert read_index(tmp_path / "out")["note"].tolist() == index["note"].tolist()


def test_a_wrong_index_is_refused(entries, tmp_path):
    index, rejected = build_index(entries, "test")
    wrong = {
        "without": index.drop(columns="sha256"),
        "types": index.assign(samples="many"),
        "repeats": pd.concat([index, index]),
    }
    for reason, table in wrong.items():
        write_corpus(tmp_path / "out", table, rejected)
        with pytest.raises(FormatError, match=reason):
            read_index(tmp_path / "out")
    write_corpus(tmp_path / "out", index.iloc[:0], rejected)
    with pytest.raises(CorpusError, match="no rows"):
        read_index(tmp_path / "out")
    (tmp_path / "out" / "index.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(FormatError, match="index.parquet"):
        read_index(tmp_path / "out")
    with pytest.raises(FormatError):
        read_index(tmp_path / "nowhere")
