"""One contract over every source of speech."""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from soundgate.audio.io import read_audio, write_audio
from soundgate.corpora.index import COLUMN_TYPES, read_index
from soundgate.corpora.librispeech import librispeech_entries
from soundgate.corpora.speech import SpeechSettings, build_speech_corpus
from soundgate.runtime.errors import ConfigError, CorpusError, DownloadError
from tests.http_server import Served, serving
from tests.workers import as_by_workers

GENERATED = Path(__file__).resolve().parents[2] / "sources" / "generated_speech.yaml"
SPEAKERS, UTTERANCES = ("19", "26", "8"), 4


def make_librispeech(folder):
    for speaker in SPEAKERS:
        for number in range(UTTERANCES):
            frequency = 100 + 7 * int(speaker) + 13 * number
            wav = 0.4 * np.sin(2 * np.pi * frequency * np.arange(16_000 + 100 * number) / 16_000)
            write_audio(folder / speaker / "77" / f"{speaker}-77-{number:04d}.flac", wav, 16_000)
    return folder


def packed(folder, name):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(folder, f"LibriSpeech/{name}")
    return buffer.getvalue()


@pytest.fixture
def librispeech(tmp_path):
    """Serve a small archive that drops its first connection, and yield its source list."""
    content = packed(make_librispeech(tmp_path / "origin"), "dev-clean")
    served = Served(content, drop_after=len(content) // 2, drops=1)
    with serving({"/dev-clean.tar.gz": served}) as address:
        source = tmp_path / "librispeech.yaml"
        source.write_text(
            f"archives:\n  dev-clean:\n    urls: ['{address}/dev-clean.tar.gz']\n"
            f"    checksum: md5:{hashlib.md5(content).hexdigest()}\n    size: {len(content)}\n"
        )
        yield source, served


@pytest.fixture(params=["generated", "folder", "librispeech"])
def settings(request, tmp_path):
    if request.param == "generated":
        return SpeechSettings(source="generated", origin=str(GENERATED), n_speakers=2, n_utterances=3, seed=5)
    if request.param == "folder":
        origin = str(make_librispeech(tmp_path / "mine"))
        return SpeechSettings(source="folder", origin=origin, n_speakers=2, n_utterances=3, seed=5)
    source, _ = request.getfixturevalue("librispeech")
    return SpeechSettings(
        source="librispeech", origin=str(source), n_speakers=2, n_utterances=3, subsets=["dev-clean"], seed=5
    )


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_source_gives_a_true_index(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = build_speech_corpus(settings, Path("out"), Path("work"))
    index = read_index("out")
    assert list(index) == list(COLUMN_TYPES)
    assert len(index) == 6 == index["utt_id"].nunique() and index["speaker_id"].nunique() == 2
    assert index["utt_id"].is_monotonic_increasing
    for row in index.itertuples():
        assert Path(row.path).is_relative_to(tmp_path / "mine" if settings.source == "folder" else "out/audio")
        assert hashlib.sha256(Path(row.path).read_bytes()).hexdigest() == row.sha256
        audio = read_audio(row.path)
        assert (*audio.wav.shape, audio.sample_rate) == (row.channels, row.samples, row.sample_rate)
        assert row.duration_s == row.samples / row.sample_rate
        assert row.utt_id.startswith(row.speaker_id + "-")
    total_s = pytest.approx(index["duration_s"].sum())
    assert counts == {"n_utterances": 6, "n_speakers": 2, "n_rejected": 0, "duration_s": total_s}
    assert pd.read_csv("out/rejected.csv").empty


def test_every_source_gives_the_same_bytes_twice(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build_speech_corpus(settings, Path("out"), Path("work"))
    first = contents(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "first")
    as_by_workers(monkeypatch)
    build_speech_corpus(settings, Path("out"), Path("work"))
    assert contents(tmp_path / "out") == first


def test_caps_are_keyed_and_nested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_librispeech(tmp_path / "mine")

    def chosen(n_speakers, n_utterances, seed=0):
        build_speech_corpus(
            SpeechSettings(source="folder", origin="mine", n_speakers=n_speakers, n_utterances=n_utterances, seed=seed),
            "out",
            "work",
        )
        return set(read_index("out")["utt_id"])

    everything = chosen(None, None)
    assert len(everything) == len(SPEAKERS) * UTTERANCES
    assert len(chosen(2, 1)) == 2
    assert chosen(2, 1) < chosen(2, 3) < chosen(3, 3) < everything
    assert len({frozenset(chosen(1, 2, seed)) for seed in range(6)}) > 1
    with pytest.raises(CorpusError, match="3 speakers"):
        chosen(4, 1)


def test_one_bad_file_is_listed_and_the_rest_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_librispeech(tmp_path / "mine")
    (tmp_path / "mine" / "8" / "77" / "8-77-0009.flac").write_bytes(b"fLaC")
    counts = build_speech_corpus(SpeechSettings(source="folder", origin="mine", seed=0), "out", "work")
    assert (counts["n_utterances"], counts["n_rejected"]) == (12, 1)
    assert pd.read_csv("out/rejected.csv").values.tolist() == [
        ["mine/8/77/8-77-0009.flac", "unreadable: FLAC without a STREAMINFO block"]
    ]


def test_the_download_is_resumed_and_kept(librispeech, tmp_path):
    source, served = librispeech
    for attempt in ("one", "two"):
        listed = librispeech_entries(source, ["dev-clean"], tmp_path / attempt, tmp_path / "work")
        assert len(listed.entries) == 12 and not listed.refused
    assert served.requests == ["", f"bytes={len(served.content) // 2}-"]


def test_a_corrupt_archive_with_a_true_checksum_is_an_error(tmp_path):
    content = packed(make_librispeech(tmp_path / "origin"), "x")[:-300]
    with serving({"/x": Served(content)}) as address:
        (tmp_path / "s.yaml").write_text(
            f"archives: {{x: {{urls: ['{address}/x'], checksum: 'md5:{hashlib.md5(content).hexdigest()}'}}}}"
        )
        with pytest.raises(CorpusError, match="corrupt"):
            librispeech_entries(tmp_path / "s.yaml", ["x"], tmp_path / "out", tmp_path / "work")
    assert not (tmp_path / "out" / "x").exists()


def test_wrong_source_lists_and_subsets_are_refused(tmp_path):
    real = GENERATED.with_name("librispeech.yaml")
    with pytest.raises(ConfigError, match="dev-clean"):
        librispeech_entries(real, ["test-moon"], tmp_path, tmp_path)
    (tmp_path / "s.yaml").write_text("archives: {x: {urls: [], checksum: none}}")
    with pytest.raises(ConfigError, match="urls"):
        librispeech_entries(tmp_path / "s.yaml", ["x"], tmp_path, tmp_path)


def test_an_archive_that_is_gone_is_an_error(tmp_path):
    with serving({"/x": Served(b"", statuses=[-404])}) as address:
        (tmp_path / "s.yaml").write_text(f"archives: {{x: {{urls: ['{address}/x'], checksum: 'md5:{32 * '0'}'}}}}")
        with pytest.raises(DownloadError, match="HTTP 404"):
            librispeech_entries(tmp_path / "s.yaml", ["x"], tmp_path / "out", tmp_path / "work")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"source": "tape"}, "source"),
        ({"source": "librispeech"}, "subsets"),
        ({"n_speakers": 0}, "n_speakers"),
        ({"n_utterances": None}, "n_utterances"),
        ({"seed": -1}, "seed"),
        ({"extra": 1}, "extra"),
    ],
)
def test_wrong_settings_name_their_key(change, key):
    right = {"source": "generated", "origin": "x", "n_speakers": 1, "n_utterances": 1, "seed": 0}
    with pytest.raises(ValidationError, match=key):
        SpeechSettings(**right | change)
