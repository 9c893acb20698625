"""Corpora as they are distributed are recognised by their files, with strays beside."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from soundgate.audio.io import read_audio
from soundgate.corpora.folder import folder_entries
from soundgate.corpora.layouts import read_layout
from soundgate.runtime.errors import AudioError
from tests.corpora.made import make


def speakers(root):
    return sorted({entry.speaker_id for entry in folder_entries(root).entries})


@pytest.mark.parametrize("mark", ["-", "_"])
def test_subsets_of_libri_corpora_are_no_speakers(tmp_path, mark):
    names = [
        f"{subset}/{s}/12/{s}{mark}12{mark}{n:04d}" + (f"{mark}000001.wav" if mark == "_" else ".flac")
        for subset, s in (("train-clean-100", 19), ("train-other-500", 26), ("dev-clean", 84)) for n in range(3)
    ]  # fmt: skip
    make(tmp_path, *names, "dev-clean/84/12/84.trans.tsv", "dev-clean/84/12/84_12_0001_000001.normalized.txt")
    listed = folder_entries(tmp_path)
    assert listed.layout == ("LibriSpeech" if mark == "-" else "LibriTTS")
    assert len(listed.entries) == 9 and speakers(tmp_path) == ["19", "26", "84"] and listed.refused == []


def test_a_few_strays_do_not_hide_a_layout_and_are_named(tmp_path):
    make(tmp_path, *[f"84/121/84-121-{n:04d}.flac" for n in range(4)], "84/extra.wav", "84/memo.m4a")
    listed = folder_entries(tmp_path)
    assert listed.layout == "LibriSpeech" and len(listed.entries) == 4
    assert [one.path.name for one in listed.refused] == ["extra.wav", "memo.m4a"]
    assert "LibriSpeech layout" in listed.refused[0].reason and "ffmpeg" in listed.refused[1].reason


def test_of_vctk_the_second_microphone_stands_in_for_a_missing_first(tmp_path):
    names = ("p225_001_mic1", "p225_001_mic2", "p225_002_mic2")
    make(tmp_path, *[f"wav48_silence_trimmed/p225/{name}.flac" for name in names])
    assert [entry.utt_id for entry in folder_entries(tmp_path).entries] == ["p225_001_mic1", "p225_002_mic2"]


def test_timit_and_voxceleb(tmp_path):
    timit = make(tmp_path / "timit", "TRAIN/DR1/FCJF0/SA1.WAV", "TEST/DR2/MABW0/SA1.WAV", "TEST/DR2/MABW0/SA1.PHN")
    assert folder_entries(timit).layout == "TIMIT" and speakers(timit) == ["FCJF0", "MABW0"]
    assert [entry.utt_id for entry in folder_entries(timit).entries] == ["MABW0-SA1", "FCJF0-SA1"]
    vox = make(tmp_path / "vox", "dev/wav/id10001/1zcIwhmdeo4/00001.wav", "test/wav/id10270/5r0dWxy17C8/00001.wav")
    assert folder_entries(vox).layout == "VoxCeleb" and speakers(vox) == ["id10001", "id10270"]


def test_common_voice_is_read_by_its_tables(tmp_path):
    make(tmp_path, *[f"en/clips/c{n}.mp3" for n in range(5)])
    for table, clips in {"validated": (0, 1, 2), "invalidated": (3,), "train": (0,)}.items():
        rows = pd.DataFrame({"client_id": [f"who{n % 2}" for n in clips], "path": [f"c{n}.mp3" for n in clips]})
        rows.assign(sentence='a "quote').to_csv(tmp_path / "en" / f"{table}.tsv", sep="\t", index=False, quoting=3)
    listed = folder_entries(tmp_path)
    assert listed.layout == "Common Voice"
    assert [(e.utt_id, e.speaker_id) for e in listed.entries] == [("c0", "who0"), ("c1", "who1"), ("c2", "who0")]
    assert [(one.path.name, one.reason.split()[0]) for one in listed.refused] == [("c3.mp3", "not"), ("c4.mp3", "in")]


@pytest.mark.parametrize("name", ["c{}.wav", "c{}.mp3.flac"])
def test_common_voice_that_was_converted_is_read_by_its_tables(tmp_path, name):
    make(tmp_path, *[f"{language}/clips/{language}{name.format(n)}" for language in ("de", "en") for n in range(2)])
    for language, folder in (("de", ""), ("en", "clips/")):
        table = pd.DataFrame({"client_id": ["anna", "bert"], "path": [f"{folder}{language}c{n}.mp3" for n in range(2)]})
        table.to_csv(tmp_path / language / "validated.tsv", sep="\t", index=False)
    listed = folder_entries(tmp_path)
    assert listed.layout == "Common Voice" and listed.refused == []
    assert [(e.utt_id, e.speaker_id) for e in listed.entries] == [
        ("dec0", "anna"), ("dec1", "bert"), ("enc0", "anna"), ("enc1", "bert"),
    ]  # fmt: skip


def test_corpora_side_by_side_keep_their_speakers(tmp_path):
    names = ["LibriSpeech/dev/84/12/84-12-0001.flac", "LibriTTS/dev/85/12/85_12_0001_0001.wav"]
    make(tmp_path, *names, "VCTK/wav48/p225/p225_001.wav", "odd.wav", "cv/clips/c0.mp3", "cv/clips/c1.mp3")
    pd.DataFrame({"client_id": ["anna"], "path": ["c0.mp3"]}).to_csv(tmp_path / "cv/train.tsv", sep="\t", index=False)
    listed = folder_entries(tmp_path)
    assert listed.layout == "Common Voice and LibriSpeech and LibriTTS and VCTK"
    assert speakers(tmp_path) == ["84", "85", "anna", "p225"]
    assert [one.path.name for one in listed.refused] == ["c1.mp3", "odd.wav"]
    assert "wav48*/speaker" in listed.refused[1].reason


def test_copies_of_an_utterance_in_other_formats_and_rates_are_no_further_ones(tmp_path):
    timit = make(tmp_path / "timit", *[f"TRAIN/DR1/FCJF0/{name}" for name in ("SA1.WAV", "SA1.WAV.wav", "SA2.WAV.wav")])
    assert [entry.utt_id for entry in folder_entries(timit).entries] == ["FCJF0-SA1", "FCJF0-SA2"]
    libri = make(tmp_path / "libri", "84/12/84-12-0001.flac", "84/12/84-12-0001.wav", "84/12/84-12-0002.flac.wav")
    assert [entry.utt_id for entry in folder_entries(libri).entries] == ["84-12-0001", "84-12-0002"]
    vctk = make(tmp_path / "vctk", "wav16/p225/p225_001.wav", "wav48/p225/p225_001.wav", "wav48/p226/p226_001.wav")
    assert [entry.speaker_id for entry in folder_entries(vctk).entries] == ["p225", "p226"]


def test_a_large_vctk_is_listed_at_once(tmp_path):
    stems = (f"wav48/p{s}/p{s}_{n:03d}_mic{m}.flac" for s in range(225, 250) for n in range(400) for m in (1, 2))
    start = time.process_time()  # What other processes take does not count.
    assert len(read_layout(tmp_path, sorted(map(Path, stems))).entries) == 10_000
    assert time.process_time() - start < 15


def test_subset_folders_of_any_corpus_are_no_speakers(tmp_path):
    make(tmp_path, "train/anna/a.wav", "train/bert/b.wav", "test/carl/c.wav")
    assert speakers(tmp_path) == ["anna", "bert", "carl"]
    make(tmp_path / "own", "train/a.wav", "test/c.wav")
    assert speakers(tmp_path / "own") == ["test", "train"]
    make(tmp_path / "one", "train/anna/a.wav", "train/bert/b.wav")
    assert speakers(tmp_path / "one") == ["anna", "bert"]
    make(tmp_path / "loose", "train/anna/a.wav", "train/bert/b.wav", "train/jingle.wav")
    assert speakers(tmp_path / "loose") == ["anna", "bert", "loose"]


def test_sphere_files_are_read_whatever_they_are_called(tmp_path):
    wav = np.linspace(-0.5, 0.5, 8_000)
    soundfile.write(tmp_path / "SA1.WAV", wav, 16_000, format="NIST", subtype="PCM_16")
    audio = read_audio(tmp_path / "SA1.WAV")
    assert audio.sample_rate == 16_000 and np.allclose(audio.wav[0], wav, atol=2**-15)
    content = (tmp_path / "SA1.WAV").read_bytes()
    (tmp_path / "cut.wav").write_bytes(content[:-2_000])
    with pytest.raises(AudioError, match="truncated: NIST SPHERE"):
        read_audio(tmp_path / "cut.wav")
    packed = content.replace(b"sample_coding -s3 pcm", b"sample_coding -s26 pcm,embedded-shorten-v2.00")
    (tmp_path / "packed.wav").write_bytes(packed)
    assert packed != content
    with pytest.raises(AudioError, match="sph2pipe"):
        read_audio(tmp_path / "packed.wav")
