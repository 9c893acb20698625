import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import soundfile
from click.testing import CliRunner

from soundgate import cli
from soundgate.tracks.transfer.cache import CHUNK_COLUMNS, write_cache
from tests.pipeline_file import ROOT

from .recordings import RATE, noise, notes, write


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("a.wav", notes([60, 64, 67, 72]))
    write("b.wav", noise(3, -5, seed=1))
    return tmp_path


@pytest.fixture
def logged(caplog):
    logger = logging.getLogger("soundgate")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
    logger.setLevel(level)


@pytest.fixture
def corpus(work):
    """Styles of profile `tiny`: one file each of train music."""
    rows = []
    for code, (genre, slope_db) in enumerate({"bright $": 0.0, "ダーク": -6.0}.items()):
        for split in ("train", "test"):
            path = f"{genre}_{split}.wav"
            write(path, noise(2, slope_db if split == "train" else -3.0, seed=code))
            rows.append(dict.fromkeys(CHUNK_COLUMNS, "x") | {
                "path": path, "genre": genre, "genre_code": code, "split": split, "is_music": True, "chunk": 0,
                "start_s": 0.0, "source_code": 0,
            })  # fmt: skip
    folder = work / "data" / "tiny" / "transfer" / "cache"
    write_cache(folder, pd.DataFrame(rows)[CHUNK_COLUMNS], [np.zeros((len(rows), 96, 256), np.float16)])


def run(*arguments):
    return CliRunner().invoke(cli.main, ["transfer", *map(str, arguments)])


def done(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)


def list_files():
    return sorted(path for path in Path().rglob("*") if path.is_file())


def refused(*arguments):
    """What is said of a transfer that is refused, and that writes nothing."""
    before = {path: path.stat().st_mtime_ns for path in list_files()}
    result = run(*arguments)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit), result.output + repr(result.exception)
    assert {path: path.stat().st_mtime_ns for path in list_files()} == before
    lines = [line for line in result.output.splitlines() if "Error: " in line]
    assert len(lines) == 1, result.output
    return lines[0]


@pytest.mark.parametrize(
    ("name", "rate", "subtype", "channels"),
    [
        ("s.wav", 44_100, "PCM_16", 2), ("s.flac", 48_000, "PCM_24", 1), ("s.aiff", 8_000, "PCM_16", 1),
        ("s.w64", 96_000, "DOUBLE", 3), ("s.mp3", 44_100, "MPEG_LAYER_III", 2), ("s.ogg", 32_000, "VORBIS", 1),
        ("s.au", 16_000, "PCM_16", 1),
    ],
)  # fmt: skip
def test_the_format_is_kept(work, name, rate, subtype, channels):
    write(name, noise(2, -1, rate=rate, channels=channels), rate, subtype)
    done(name, "--style", "b.wav", "--out", f"out/{name}")
    before, after = soundfile.info(name), soundfile.info(f"out/{name}")
    for key in ("samplerate", "subtype", "channels", "format"):
        assert getattr(before, key) == getattr(after, key)
    assert after.frames == pytest.approx(before.frames, abs=0 if subtype.startswith(("PCM", "D")) else 3_000)


def test_a_lossy_source_becomes_what_the_extension_names(work):
    write("s.mp3", noise(2, -1, rate=44_100, channels=2), 44_100, "MPEG_LAYER_III")
    for out, subtype in (("x.wav", "FLOAT"), ("x.flac", "PCM_16"), ("x.opus", "OPUS")):
        for strength in (0, 1):
            done("s.mp3", "--style", "b.wav", "--out", out, "--strength", strength)
            assert soundfile.info(out).subtype == subtype


def test_a_style_of_the_corpus_is_known_from_its_train_tracks(corpus, work, logged):
    def centroid(path):
        power = np.abs(np.fft.rfft(soundfile.read(path)[0])) ** 2
        return np.sum(np.linspace(0, 1, len(power)) * power) / power.sum()

    write("s.wav", noise(2, -3, seed=7))
    for number, name in enumerate(("bright $", "ダーク")):
        done("s.wav", "--style", name, "--out", f"{number}.wav", "--profile", "tiny")
        assert f"Style {name}: 2.0 s of 1 recordings" in logged.text
    assert centroid("0.wav") > 1.3 * centroid("s.wav") and centroid("1.wav") < 0.7 * centroid("s.wav")
    line = refused("s.wav", "--style", "grunge", "--out", "x.wav", "--profile", "tiny")
    assert "--style grunge" in line and "Styles of profile tiny: bright $, ダーク." in line


def test_what_is_unfit_is_refused_with_what_to_do(work):
    write("silence.wav", np.zeros((1, RATE)))
    write("short.wav", noise(0.6))
    open("empty.wav", "w").close()
    line = refused("silence.wav", "--style", "b.wav", "--out", "x.wav")
    assert "silence.wav: expected sound; found all zero: 1.00 s of silence. Give a recording" in line
    assert "silence.wav: expected sound" in refused("a.wav", "--style", "silence.wav", "--out", "x.wav")
    line = refused("a.wav", "--style", "short.wav", "--out", "x.wav")
    assert "short.wav: expected 1 s or more of the style; found 0.60 s. Give a longer recording." in line
    for source, style in (("empty.wav", "b.wav"), ("a.wav", "empty.wav")):
        assert "empty.wav: expected usable audio; found empty: 0 bytes" in refused(
            source, "--style", style, "--out", "x.wav"
        )
    assert "none.wav" in refused("a.wav", "--style", "none.wav", "--out", "x.wav")
    assert "none.wav" in refused("none.wav", "--style", "b.wav", "--out", "x.wav")
    line = refused("a.wav", "--style", "lofi", "--out", "x.wav")
    assert "--style lofi" in line and "no corpus in data/embedded/transfer/cache" in line
    assert "soundgate repro profile=embedded --track transfer" in line
    assert ".wav, .wave, .aiff" in refused("a.wav", "--style", "b.wav", "--out", "x.xyz")


def test_inputs_and_the_exemplar_are_never_overwritten(work):
    os.link("a.wav", "same.wav")
    os.mkdir("folder")
    for out in ("a.wav", "same.wav", "./b.wav"):
        assert "other than the input" in refused("a.wav", "--style", "b.wav", "--out", out)
    assert "no input" in refused("folder", "a.wav", "--style", "b.wav", "--out", "folder/x")


def test_a_folder_keeps_its_structure_and_what_is_finished(work, logged):
    os.makedirs("in/deep er")
    write(b"in/deep er/\xff'$.wav", noise(1, -1))
    write("in/日本.flac", noise(1, -2), subtype="PCM_16")
    write("in/c.mp3", noise(1, -2, channels=2), subtype="MPEG_LAYER_III")
    open("in/broken.wav", "w").close()
    arguments = ("in", "--style", "b.wav", "--out", "out")
    result = run(*arguments)
    assert result.exit_code == 1 and "2 of 4 files" in logged.text and "in/broken.wav" in result.output
    made = [os.fsencode(str(path)) for path in list_files() if str(path).startswith("out")]
    assert made == [b"out/c.mp3", b"out/deep er/\xff'$.wav", b"out/transfers.json", "out/日本.flac".encode()]
    os.remove("in/broken.wav")
    logged.clear()
    done(*arguments)
    assert logged.text.count("finished by an earlier run, and kept") == 3
    write("in/c.mp3", noise(1, -3, channels=2), subtype="MPEG_LAYER_III")
    logged.clear()
    done(*arguments)
    assert logged.text.count("kept") == 2
    logged.clear()
    done(*arguments, "--strength", "0.5")
    assert "kept" not in logged.text


def test_what_was_done_is_explained(work):
    write("l$ a.wav", noise(3, -1, channels=2), subtype="PCM_16")
    done("l$ a.wav", "--style", "b.wav", "--out", "ö$.flac", "--explain")
    figures = json.loads((work / "ö$.flac.json").read_text())
    assert (figures["path"], figures["channels"], figures["style"]) == ("eq", 2, "b.wav")
    bands = figures["bands"]
    assert bands["distance_after_db"] < 0.5 < 2 < bands["distance_before_db"]
    assert len(bands["hz"]) == len(bands["source_db"]) == len(bands["result_db"]) == len(bands["style_db"])
    assert figures["chroma_similarity_apart"] < figures["chroma_similarity"] <= 1 and figures["level"]["short_db"] >= 0
    assert figures["real_time_factor"] == pytest.approx(figures["took_s"] / 3)
    assert matplotlib.image.imread("ö$.flac.png").shape[1] > 900
    done("l$ a.wav", "--style", "b.wav", "--out", "same.wav", "--explain", "--strength", "0")
    figures = json.loads((work / "same.wav.json").read_text())
    assert figures["level"] is None and figures["chroma_similarity"] == pytest.approx(1)
    assert figures["bands"]["distance_after_db"] == figures["bands"]["distance_before_db"]


@pytest.mark.slow
def test_a_kill_leaves_no_half_file(work):
    os.mkdir("in")
    for number in range(3):
        write(f"in/{number}.wav", np.tile(noise(10, rate=48_000, channels=2), 8), 48_000, "PCM_24")
    arguments = ["in", "--style", "b.wav", "--out", "out"]
    command = [sys.executable, "-m", "soundgate.cli", "transfer", *arguments]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while process.poll() is None and not os.path.exists("out/0.wav"):
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    visible = [path for path in list_files() if path.parent.name == "out" and not path.name.startswith(".")]
    sounds = [path for path in visible if path.suffix == ".wav"]
    assert 1 <= len(sounds) < 3 and all(soundfile.info(path).frames == 80 * 48_000 for path in sounds)
    done(*arguments)
    assert sorted(os.listdir("out")) == ["0.wav", "1.wav", "2.wav", "transfers.json"]
