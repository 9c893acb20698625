"""Known layouts are recognised; any folder gives speakers and a fixed order."""

import logging

import pytest

from soundgate.corpora.folder import folder_entries
from soundgate.runtime.errors import CorpusError
from tests.corpora.made import make


def listed(root):
    return [(e.utt_id, e.speaker_id, e.path.relative_to(root).as_posix()) for e in folder_entries(root).entries]


@pytest.fixture(autouse=True)
def log(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("soundgate"), "propagate", True)
    caplog.set_level(logging.INFO, logger="soundgate")
    return caplog


@pytest.mark.parametrize("above", ["", "LibriSpeech/dev-clean/"])
def test_librispeech(tmp_path, log, above):
    make(
        tmp_path,
        above + "84/121123/84-121123-0001.flac",
        above + "84/121123/84-121123-0000.flac",
        above + "84/121123/84-121123.trans.txt",
        above + "174/50561/174-50561-0000.flac",
        "README.TXT",
    )
    assert listed(tmp_path) == [
        ("174-50561-0000", "174", above + "174/50561/174-50561-0000.flac"),
        ("84-121123-0000", "84", above + "84/121123/84-121123-0000.flac"),
        ("84-121123-0001", "84", above + "84/121123/84-121123-0001.flac"),
    ]
    assert "LibriSpeech layout, 3 files of 2 speakers" in log.text


def test_librispeech_names_without_chapter_folders(tmp_path, log):
    make(tmp_path, "84/84-121123-0000.flac")
    assert listed(tmp_path)[0][:2] == ("84-121123-0000", "84")
    assert "LibriSpeech" in log.text


def test_vctk_keeps_one_microphone_and_says_so(tmp_path, log):
    stems = [f"{s}/{s}_00{n}" for s in ("p225", "s5") for n in (1, 2)]
    names = [f"wav48_silence_trimmed/{stem}_mic{m}.flac" for stem in stems for m in (1, 2)]
    make(tmp_path, *names, "txt/p225/p225_001.txt")
    assert [entry[:2] for entry in listed(tmp_path)] == [
        ("p225_001_mic1", "p225"),
        ("p225_002_mic1", "p225"),
        ("s5_001_mic1", "s5"),
        ("s5_002_mic1", "s5"),
    ]
    assert "VCTK layout, 4 files of 2 speakers" in log.text
    assert "4 files left out, recordings of the same utterances (second microphone" in log.text


def test_ljspeech(tmp_path, log):
    make(tmp_path, "LJSpeech-1.1/wavs/LJ001-0001.wav", "LJSpeech-1.1/metadata.csv")
    assert listed(tmp_path) == [("LJ001-0001", "LJ", "LJSpeech-1.1/wavs/LJ001-0001.wav")]
    assert "LJSpeech layout" in log.text


def test_any_other_folder(tmp_path, log):
    names = ["anna/2020/deep/x.MP3", "bert/y.ogg", "z.wav"]
    root = make(tmp_path / "my voices", *names, "notes.txt", ".hidden.wav", ".trash/q.wav", "bert/._y.ogg")
    assert listed(root) == [
        ("anna-2020-deep-x", "anna", names[0]),
        ("bert-y", "bert", names[1]),
        ("z", "my voices", names[2]),
    ]
    assert "speaker folders layout, 3 files of 3 speakers" in log.text
    assert "2 hidden files and folders are skipped, the first is .hidden.wav" in log.text


def test_one_stray_file_makes_it_a_plain_folder(tmp_path):
    make(tmp_path, "84/121123/84-121123-0000.flac", "84/extra.wav")
    assert [entry[0] for entry in listed(tmp_path)] == ["84-121123-84-121123-0000", "84-extra"]


def test_links_are_followed_once(tmp_path):
    make(tmp_path / "elsewhere", "anna/a.wav")
    root = make(tmp_path / "root", "bert/b.wav")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "bert" / "loop").symlink_to(root)
    linked = ("linked-anna-a", "linked", "linked/anna/a.wav")
    assert listed(root) == [("bert-b", "bert", "bert/b.wav"), linked]


def test_nothing_to_list_is_an_error(tmp_path):
    make(tmp_path, "file.wav", "empty/readme.txt")
    for name, found in {"nowhere": "nothing", "file.wav": "a file", "empty": "none"}.items():
        with pytest.raises(CorpusError) as caught:
            folder_entries(tmp_path / name)
        assert caught.value.found == found
