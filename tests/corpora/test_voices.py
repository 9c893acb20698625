"""One contract over every source of dry voices."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from soundgate.audio.io import read_audio, write_audio
from soundgate.corpora.index import COLUMN_TYPES, read_index
from soundgate.corpora.noisy_voices import generate_voices, read_voice_source
from soundgate.corpora.voices import VoicesSettings, build_voice_corpus
from soundgate.runtime.errors import ConfigError, CorpusError, DownloadError
from tests.http_server import Served, serving
from tests.workers import as_by_workers

SOURCE = Path(__file__).resolve().parents[2] / "sources" / "generated_voices.yaml"


def tone(number):
    return 0.4 * np.sin(2 * np.pi * (150 + 20 * number) * np.arange(8_000 + number) / 16_000)


def make_vctk(folder):
    for number, speaker in enumerate(("p225", "p226", "p227")):
        for position in range(4):
            for microphone in (1, 2):
                name = f"wav48_silence_trimmed/{speaker}/{speaker}_{position:03d}_mic{microphone}.flac"
                write_audio(folder / name, tone(10 * number + 2 * position + microphone), 16_000)
    return folder


def make_ljspeech(folder):
    for number in range(5):
        write_audio(folder / "LJSpeech-1.1" / "wavs" / f"LJ001-{number:04d}.wav", tone(number), 16_000)
    (folder / "LJSpeech-1.1" / "metadata.csv").write_text("LJ001-0000|Text|Text\n")
    return folder


def packed(folder, kind):
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder))
    else:
        with tarfile.open(fileobj=buffer, mode="w:bz2") as archive:
            archive.add(folder, ".")
    return buffer.getvalue()


@pytest.fixture(params=["generated", "folder", "ljspeech", "vctk"])
def settings(request, tmp_path):
    """Settings that ask for three files; downloads come from a server that drops its first connection."""
    source, caps = request.param, {"n_speakers": 1, "n_utterances": 3}
    right = {"name": "v", "source": source, "seed": 5} | caps
    if source == "generated":
        yield VoicesSettings(origin=str(SOURCE), **right)
    elif source == "folder":
        yield VoicesSettings(origin=str(make_vctk(tmp_path / "mine")), **right)
    else:
        make, kind = {"ljspeech": (make_ljspeech, "bz2"), "vctk": (make_vctk, "zip")}[source]
        content = packed(make(tmp_path / "origin"), kind)
        with serving({"/archive": Served(content, drop_after=len(content) // 2, drops=1)}) as address:
            sha256 = hashlib.sha256(content).hexdigest()
            listed = f"urls: ['{address}/archive']\nsha256: '{sha256}'\nsize: {len(content)}\n"
            (tmp_path / f"{source}.yaml").write_text(listed)
            yield VoicesSettings(origin=str(tmp_path / f"{source}.yaml"), **right)


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_source_gives_a_true_index(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = build_voice_corpus(settings, Path("out"), Path("work"))
    index = read_index("out")
    assert list(index) == [*COLUMN_TYPES, "clean_path", "noise_snr_db"]
    assert len(index) == 3 and index["speaker_id"].nunique() == 1 and index["utt_id"].is_monotonic_increasing
    for row in index.itertuples():
        assert Path(row.path).is_relative_to(tmp_path / "mine" if settings.source == "folder" else "out/audio")
        assert hashlib.sha256(Path(row.path).read_bytes()).hexdigest() == row.sha256
        audio = read_audio(row.path)
        assert (*audio.wav.shape, audio.sample_rate) == (row.channels, row.samples, row.sample_rate)
        assert (row.clean_path == "") == (settings.source != "generated")
        if settings.source != "generated":
            assert np.isnan(row.noise_snr_db)
    total_s = pytest.approx(index["duration_s"].sum())
    assert counts == {"n_utterances": 3, "n_speakers": 1, "n_rejected": 0, "duration_s": total_s}
    if settings.source in ("ljspeech", "vctk"):
        assert sum(path.is_file() for path in Path("out/audio").rglob("*")) == 3


def test_every_source_gives_the_same_bytes_twice(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build_voice_corpus(settings, Path("out"), Path("work"))
    first = contents(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "first")
    as_by_workers(monkeypatch)
    build_voice_corpus(settings, Path("out"), Path("work"))
    assert contents(tmp_path / "out") == first


def changed_source(folder, **changes):
    text = SOURCE.read_text().replace("speech: generated", f"speech: {SOURCE.parent}/generated")
    for key, value in changes.items():
        lines = [f"{key}: {value}" if line.startswith(f"{key}:") else line for line in text.splitlines()]
        text = "\n".join(lines)
    (folder / "voices.yaml").write_text(text)
    return folder / "voices.yaml"


def active_snr_db(clean, noisy, rate):
    """Return the ratio over 20 ms frames within 40 dB of the loudest."""
    size = round(0.02 * rate)
    count = len(clean) // size
    speech, noise = ((x[: count * size].reshape(count, size) ** 2).sum(1) for x in (clean, noisy - clean))
    active = speech > speech.max() * 1e-4
    return 10 * np.log10(speech[active].sum() / noise[active].sum())


def test_the_noise_is_what_the_index_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    origin = str(changed_source(tmp_path))
    settings = VoicesSettings(name="v", source="generated", origin=origin, n_speakers=3, n_utterances=5, seed=1)
    build_voice_corpus(settings, "out", "work")
    index = read_index("out").set_index("utt_id")
    table = pd.read_csv("out/noise.csv").set_index("utt_id")
    pd.testing.assert_series_equal(index["noise_snr_db"], table["noise_snr_db"].reindex(index.index))
    silent = index["noise_snr_db"].isna()
    assert 0 < silent.sum() < len(index)
    assert (index.loc[silent, "clean_path"] == index.loc[silent, "path"]).all()
    for row in index[~silent].itertuples():
        assert row.clean_path == row.path.replace("out/audio", "out/clean")
        noisy, clean = read_audio(row.path), read_audio(row.clean_path)
        found = active_snr_db(clean.wav[0].astype(float), noisy.wav[0].astype(float), noisy.sample_rate)
        assert found == pytest.approx(row.noise_snr_db, abs=0.1)


@pytest.mark.parametrize("mains_hz", [50, 60])
def test_hum_and_hiss_are_where_they_belong(tmp_path, mains_hz):
    hum_share = 0.5
    source = changed_source(
        tmp_path, mains_hz=f"[{mains_hz}]", hum_share=f"[{hum_share}, {hum_share}]", clean_share=0, hiss="[white]"
    )
    entries, truth = generate_voices(tmp_path / "out", source, 0, 1, 1)
    noisy, clean = read_audio(entries[0].path), read_audio(truth[entries[0].path].clean_path)
    seconds = noisy.wav.shape[1] // noisy.sample_rate
    noise = (noisy.wav - clean.wav)[0, : seconds * noisy.sample_rate].astype(float)
    power = np.square(np.abs(np.fft.rfft(noise)))
    lines = power[mains_hz * seconds * np.arange(1, 13)].sum()
    assert lines / power.sum() == pytest.approx(hum_share, abs=0.02)
    other = power.copy()
    other[mains_hz * seconds * np.arange(1, 13)] = 0
    halves = np.array_split(other[20 * seconds :], 2)
    assert halves[0].sum() == pytest.approx(halves[1].sum(), rel=0.05)


def test_corpus_size_changes_no_file(tmp_path):
    generate_voices(tmp_path / "few", SOURCE, 3, 1, 2)
    generate_voices(tmp_path / "more", SOURCE, 3, 2, 3)
    few, more = contents(tmp_path / "few"), contents(tmp_path / "more")
    assert all(more[name] == few[name] for name in few if name.endswith(".flac"))
    generate_voices(tmp_path / "other", SOURCE, 4, 1, 1)
    assert contents(tmp_path / "other")["audio/101/101-0000.flac"] != few["audio/101/101-0000.flac"]


def test_the_silence_around_an_utterance_is_drawn(tmp_path):
    entries, truth = generate_voices(tmp_path / "out", changed_source(tmp_path, clean_share=1), 0, 2, 2)
    assert all(known.clean_path == path and np.isnan(known.noise_snr_db) for path, known in truth.items())
    assert not (tmp_path / "out" / "clean").exists()
    for entry in entries:
        wav = read_audio(entry.path).wav[0]
        assert not wav[: round(0.2 * 22_050)].any() and not wav[-round(0.2 * 22_050) :].any()
        assert np.flatnonzero(wav)[0] < 0.8 * 22_050


def test_one_bad_file_is_listed_and_the_rest_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_vctk(tmp_path / "mine")
    pointer = "version https://git-lfs.github.com/spec/v1\n"
    (tmp_path / "mine" / "wav48_silence_trimmed" / "p225" / "p225_009_mic1.flac").write_text(pointer)
    counts = build_voice_corpus(VoicesSettings(name="v", source="folder", origin="mine", seed=0), "out", "work")
    assert (counts["n_utterances"], counts["n_speakers"], counts["n_rejected"]) == (12, 3, 1)
    assert pd.read_csv("out/rejected.csv")["reason"].tolist() == ["Git-LFS pointer text in place of the audio"]
    with pytest.raises(CorpusError, match="3 speakers"):
        settings = VoicesSettings(name="v", source="folder", origin="mine", n_speakers=4, seed=0)
        build_voice_corpus(settings, "out", "work")


def test_another_archive_than_promised_is_refused(tmp_path):
    with serving({"/x": Served(packed(make_ljspeech(tmp_path / "origin"), "bz2"))}) as address:
        (tmp_path / "lj.yaml").write_text(f"urls: ['{address}/x']\nsha256: {64 * 'a'}\n")
        settings = VoicesSettings(name="v", source="ljspeech", origin=str(tmp_path / "lj.yaml"), seed=0)
        with pytest.raises(DownloadError, match="wrong checksum"):
            build_voice_corpus(settings, tmp_path / "out", tmp_path / "work")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"noise_snr_db": "[45, 10]"}, "noise_snr_db"),
        ({"hum_share": "[0.0, 1.5]"}, "hum_share"),
        ({"mains_hz": "[55]"}, "mains_hz"),
        ({"hiss": "[brown]"}, "hiss"),
        ({"clean_share": "2"}, "clean_share"),
        ({"speech": "nowhere.yaml"}, "nowhere.yaml"),
    ],
)
def test_a_wrong_source_list_is_refused(tmp_path, change, reason):
    with pytest.raises(ConfigError, match=reason):
        read_voice_source(changed_source(tmp_path, **change))


def test_too_many_speakers_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="n_speakers"):
        generate_voices(tmp_path, SOURCE, 0, 1_000, 1)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"name": "a/b"}, "name"),
        ({"source": "tape"}, "source"),
        ({"n_speakers": 0}, "n_speakers"),
        ({"n_utterances": None}, "n_utterances"),
        ({"extra": 1}, "extra"),
    ],
)
def test_wrong_settings_name_their_key(change, key):
    right = {"name": "v", "source": "generated", "origin": "x", "n_speakers": 1, "n_utterances": 1, "seed": 0}
    with pytest.raises(ValidationError, match=key):
        VoicesSettings(**right | change)
