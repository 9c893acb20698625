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
import pytest
import soundfile
import soxr
from click.testing import CliRunner

from soundgate import cli
from soundgate.tracks.voice.baselines.vocoder import Vocoder
from soundgate.tracks.voice.convert import explaining
from soundgate.tracks.voice.convert.file import convert_file
from soundgate.tracks.voice.convert.voicing import hear_voice
from soundgate.tracks.voice.model.folder import save_converter
from tests.pipeline_file import ROOT

from .generated_voices import voice
from .spoken import SPEAKERS, write_speech
from .tiny_converter import tiny_converter

RATE = 16_000
LOW_HZ, HIGH_HZ = 110.0, 210.0


@pytest.fixture(scope="module")
def converter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("converter")
    save_converter(folder, tiny_converter())
    return folder


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("low.wav", voice(2.5, LOW_HZ))
    write("high.wav", voice(3.5, HIGH_HZ, 1.2, seed=1))
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


def write(path, wav, rate=RATE, subtype="PCM_16"):
    soundfile.write(path, np.atleast_2d(wav).T, rate, subtype=subtype)


def run(*arguments):
    return CliRunner().invoke(cli.main, ["convert", *map(str, arguments)])


def done(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)


def refused(*arguments):
    """What is said of a conversion that is refused, and that writes nothing."""
    before = {path: path.stat().st_mtime_ns for path in list_files()}
    result = run(*arguments)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit), result.output + repr(result.exception)
    assert {path: path.stat().st_mtime_ns for path in list_files()} == before
    lines = [line for line in result.output.splitlines() if "Error: " in line]
    assert len(lines) == 1, result.output
    return lines[0]


def list_files():
    return sorted(path for path in Path().rglob("*") if path.is_file())


def f0_hz(path):
    wav, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return [hear_voice([soxr.resample(own, rate, RATE).astype(np.float32)], RATE).f0_hz for own in wav.T]


def harvested_hz(path):
    """The median fundamental by Harvest, which no octave error moves."""
    f0 = Vocoder(RATE, 60, 500).analyse(soundfile.read(path)[0]).f0
    return np.median(f0[f0 > 0])


@pytest.mark.parametrize("method", ["world", "knn", "gan"])
@pytest.mark.parametrize(
    ("name", "rate", "subtype", "channels"),
    [("a.wav", 44_100, "PCM_16", 2), ("a.flac", 48_000, "PCM_24", 1), ("a.aiff", 8_000, "PCM_16", 1)],
)
def test_the_voice_changes_and_the_format_does_not(work, converter, logged, method, name, rate, subtype, channels):
    write(name, np.outer([1.0, 0.5][:channels], voice(2.5, LOW_HZ, rate=rate)), rate, subtype)
    done(name, "--to", "high.wav", "--out", f"out/{name}", "--method", method, "--models", converter)
    before, after = soundfile.info(name), soundfile.info(f"out/{name}")
    for key in ("samplerate", "subtype", "channels", "frames", "format"):
        assert getattr(before, key) == getattr(after, key)
    assert f"sound up to {min(8_000, rate // 2)} Hz" in logged.text and f"Method {method}: asked" in logged.text
    target_hz = hear_voice([soundfile.read("high.wav", dtype="float32")[0]], RATE).f0_hz
    assert f0_hz(f"out/{name}")[0] == pytest.approx(target_hz, rel=0.08)
    said, made = (soundfile.read(path, always_2d=True)[0] for path in (name, f"out/{name}"))
    assert np.sqrt(np.mean(made**2)) == pytest.approx(np.sqrt(np.mean(said**2)), rel=0.1)
    if channels == 2:
        np.testing.assert_allclose(made[:, 1], 0.5 * made[:, 0], atol=2e-4)


@pytest.mark.parametrize("method", ["world", "knn", "gan"])
def test_the_pitch_is_moved_beyond_the_target(work, converter, method):
    for semitones in (0, -5):
        done("low.wav", "--to", "high.wav", "--out", f"{semitones}.wav", "--method", method,
             "--pitch", semitones, "--models", converter)  # fmt: skip
    as_target, moved = (harvested_hz(f"{semitones}.wav") for semitones in (0, -5))
    assert 12 * np.log2(moved / as_target) == pytest.approx(-5, abs=0.7)


def test_formants_are_moved_by_methods_that_can(work, converter):
    def centroid(path):
        power = np.abs(np.fft.rfft(soundfile.read(path)[0])) ** 2
        return np.sum(np.linspace(0, 1, len(power)) * power) / power.sum()

    for factor in (1.0, 1.3):
        done("low.wav", "--to", "high.wav", "--out", f"{factor}.wav", "--method", "world", "--formant", factor)
    assert centroid("1.3.wav") > 1.1 * centroid("1.0.wav")
    line = refused("low.wav", "--to", "high.wav", "--out", "x.wav", "--method", "gan", "--models", converter,
                   "--formant", "1.3")  # fmt: skip
    assert "--formant: expected 1 with method gan" in line and "--method world or knn" in line


def test_channels_are_converted_each_by_itself_and_what_is_no_voice_is_silent(work, logged):
    first, second = voice(2.5, LOW_HZ), voice(2.5, 160, 1.1, seed=3)
    noise = 0.02 * np.random.default_rng(0).normal(size=len(first))
    write("three.wav", np.stack([first, second, noise, 0 * first]))
    done("three.wav", "--to", "high.wav", "--out", "out.wav", "--method", "world")
    made = soundfile.read("out.wav")[0]
    assert not made[:, 2:].any() and "channel 3 does not look like a voice" in logged.text
    assert abs(np.corrcoef(made[:, 0], made[:, 1])[0, 1]) < 0.5
    target = f0_hz("high.wav")[0]
    assert f0_hz("out.wav")[:2] == pytest.approx([target, target], rel=0.08)


def test_nothing_clips(work):
    loud = 3 * voice(2.5, LOW_HZ)
    write("loud.wav", np.clip(loud / np.abs(loud).max() * 1.2, -1, 1))
    done("loud.wav", "--to", "high.wav", "--out", "out.wav", "--method", "knn")
    assert 0.2 < np.abs(soundfile.read("out.wav")[0]).max() <= 0.991


def test_what_is_no_voice_is_refused_with_figures(work):
    t = np.arange(4 * RATE) / RATE
    notes = 2 * np.pi * np.cumsum(200 + 20 * (t // 0.5 % 3)) / RATE
    tone = sum(0.1 / order * np.sin(order * notes) for order in range(1, 20))
    for name, wav, reason in (
        ("silence.wav", np.zeros(RATE), "all zero"),
        ("noise.wav", 0.1 * np.random.default_rng(0).normal(size=RATE), "nothing is voiced"),
        ("tone.wav", tone, "the pitch moves by"),
    ):
        write(name, wav)
        for arguments in ((name, "--to", "high.wav"), ("low.wav", "--to", name)):
            line = refused(*arguments, "--out", "out.wav", "--method", "world")
            assert name in line and (reason in line or "0.00 s in" in line)
    assert "--force" in refused("tone.wav", "--to", "high.wav", "--out", "out.wav", "--method", "world")
    done("tone.wav", "--to", "high.wav", "--out", "out.wav", "--method", "world", "--force")


def test_a_reference_that_is_too_short_is_refused_with_seconds(work):
    write("short.wav", voice(1.0, HIGH_HZ))
    line = refused("low.wav", "--to", "short.wav", "--out", "out.wav", "--method", "world")
    assert "expected 2 s or more of voiced speech" in line and "s in 1.00 s of sound" in line and "--to" in line
    os.mkdir("parts")
    for number in range(4):
        write(f"parts/{number}.wav", voice(1.0, HIGH_HZ, 1.2, seed=number))
    open("parts/notes.txt", "w").close()
    done("low.wav", "--to", "parts", "--out", "out.wav", "--method", "world")


def test_references_that_are_not_there_are_named(work, logged):
    line = refused("low.wav", "--to", "nobody", "--out", "out.wav", "--method", "world")
    assert "--to nobody" in line and "no corpus in data/embedded/speech" in line
    open("bad.wav", "w").close()
    assert "bad.wav" in refused("low.wav", "--to", "bad.wav", "--out", "out.wav", "--method", "world")
    done("low.wav", "--to", "bad.wav", "--to", "high.wav", "--out", "out.wav", "--method", "world")
    assert "bad.wav: left out as reference: empty" in logged.text


def test_a_speaker_of_the_corpus_is_a_target(work):
    write_speech(work / "data" / "tiny" / "speech", {name: SPEAKERS[name] for name in "ag"})
    arguments = ("low.wav", "--out", "out.wav", "--method", "world", "--profile", "tiny")
    for name, least, most in (("a", 85, 105), ("g", 190, 260)):
        done(*arguments, "--to", name)
        assert least < f0_hz("out.wav")[0] < most
    assert "speakers of data/tiny/speech: a, g" in refused(*arguments, "--to", "b")


def test_a_converter_that_is_not_there_is_named_with_what_makes_it(work):
    line = refused("low.wav", "--to", "high.wav", "--out", "out.wav", "--method", "gan")
    assert "data/embedded/voice/converter" in line and "soundgate repro profile=embedded --track voice" in line


def test_inputs_and_references_are_never_overwritten(work):
    os.link("low.wav", "same.wav")
    os.mkdir("folder")
    for out in ("low.wav", "same.wav", "./high.wav"):
        line = refused("low.wav", "--to", "high.wav", "--out", out, "--method", "world")
        assert "other than the input" in line
    assert "no input" in refused("folder", "low.wav", "--to", "high.wav", "--out", "folder/x", "--method", "world")
    assert ".wav, .wave, .flac" in refused("low.wav", "--to", "high.wav", "--out", "out.mp3", "--method", "world")


def test_a_folder_keeps_its_structure_and_what_is_finished(work, logged):
    os.makedirs("in/deep er")
    name = os.fsdecode(b"in/deep er/\xff'$.wav")
    write(os.fsencode(name), voice(2, LOW_HZ))
    write("in/b.flac", voice(2, LOW_HZ, seed=2))
    open("in/broken.wav", "w").close()
    write("in/silent.wav", np.zeros(RATE))
    arguments = ("in", "--to", "high.wav", "--out", "out", "--method", "world")
    result = run(*arguments)
    assert result.exit_code == 1 and "3 of 4 files" in logged.text
    assert [line.split(":")[1].strip() for line in result.output.splitlines() if "Error: " in line] == [
        "in/broken.wav", "in/silent.wav"
    ]  # fmt: skip
    made = [os.fsencode(str(path)) for path in list_files() if str(path).startswith("out")]
    assert made == [b"out/b.flac", b"out/conversions.json", b"out/deep er/\xff'$.wav"]
    before = os.stat("out/b.flac").st_mtime_ns
    write("in/b.flac", voice(2, LOW_HZ, seed=2))
    os.remove("in/broken.wav")
    os.remove("in/silent.wav")
    logged.clear()
    done(*arguments)
    assert (
        logged.text.count("finished by an earlier run, and kept") == 2 and os.stat("out/b.flac").st_mtime_ns == before
    )
    write("in/b.flac", voice(2, LOW_HZ, seed=5))
    logged.clear()
    done(*arguments)
    assert logged.text.count("kept") == 1 and os.stat("out/b.flac").st_mtime_ns > before
    logged.clear()
    done(*arguments, "--pitch", "1")
    assert "kept" not in logged.text


@pytest.mark.slow
def test_a_kill_leaves_no_half_file(work):
    os.mkdir("in")
    for number in range(3):
        write(f"in/{number}.wav", np.tile(voice(4, LOW_HZ), 2), subtype="PCM_24")
    arguments = ["convert", "in", "--to", "high.wav", "--out", "out", "--method", "world"]
    command = [sys.executable, "-m", "soundgate.cli", *arguments]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while process.poll() is None and not os.path.exists("out/0.wav"):
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    finished = [path for path in list_files() if path.parent.name == "out" and path.suffix == ".wav"]
    visible = [path for path in finished if not path.name.startswith(".")]
    assert 1 <= len(visible) < 3 and all(soundfile.info(path).frames == 8 * RATE for path in visible)
    before = os.stat("out/0.wav").st_mtime_ns
    done(*arguments[1:])
    assert os.stat("out/0.wav").st_mtime_ns == before
    assert sorted(os.listdir("out")) == ["0.wav", "1.wav", "2.wav", "conversions.json"]


def test_what_was_done_is_explained(work, monkeypatch):
    write("a.wav", voice(3, LOW_HZ, rate=44_100), 44_100)
    done("a.wav", "--to", "high.wav", "--out", "out.wav", "--method", "knn", "--explain")
    figures = json.loads((work / "out.wav.json").read_text())
    assert (figures["method"], figures["why"], figures["bandwidth_hz"]) == ("knn", "asked for", 8_000)
    assert figures["real_time_factor"] == pytest.approx(figures["took_s"] / 3) and figures["peak"] < 1
    (own,) = figures["voices"]
    assert own["f0_hz"]["out"] == pytest.approx(own["f0_hz"]["target"], rel=0.08)
    assert own["f0_hz"]["source"] == pytest.approx(LOW_HZ, rel=0.08) and own["channels"] == [1]
    assert set(own["similarity"]) == {"out_to_reference", "out_to_source", "source_to_reference"}
    assert own["similarity"]["out_to_reference"] > own["similarity"]["source_to_reference"]
    assert all(1 <= own["dnsmos"][name] <= 5 for name in ("source", "out"))
    picture = matplotlib.image.imread("out.wav.png")[..., :3]
    for colour in ("8a94a0", "c0392b", "7a5ba6"):
        wanted = np.array([int(colour[place : place + 2], 16) for place in (0, 2, 4)]) / 255
        assert np.any(np.abs(picture - wanted).max(axis=2) < 0.02), colour


def test_a_recording_that_no_judge_can_hear_is_explained_without(work, monkeypatch):
    monkeypatch.setattr(explaining, "conversion_picture", lambda path, *_: path.touch())
    write("a.wav", voice(0.7, LOW_HZ))
    figures = convert_file("a.wav", "out.wav", ["high.wav"], "world", explain=True)
    assert figures["voices"][0]["dnsmos"] == {"source": None, "out": None}
    assert figures["voices"][0]["similarity"]["out_to_reference"] is None


def test_the_function_does_what_the_command_does(work):
    done("low.wav", "--to", "high.wav", "--out", "one.wav", "--method", "world", "--pitch", "2")
    figures = convert_file("low.wav", "two.wav", ["high.wav"], "world", semitones=2.0)
    assert (work / "one.wav").read_bytes() == (work / "two.wav").read_bytes()
    assert figures["method"] == "world" and figures["seconds"] == 2.5
