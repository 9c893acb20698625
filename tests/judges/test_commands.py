"""``soundgate judge``: files to tables and JSON, and what it says of files that it cannot judge."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from soundgate.audio.io import write_audio
from soundgate.corpora.espeak import SAMPLE_RATE
from soundgate.judges.commands import judge as command
from soundgate.judges.files import read_beginning
from soundgate.runtime.errors import AudioError

CHEAP = ["--judge", "pitch", "--judge", "notes"]


@pytest.fixture
def files(tmp_path, speech):
    """A voice, the voice a little shorter, silence and a file that is no audio."""
    quiet = np.zeros(SAMPLE_RATE, np.float32)
    for name, wav in {"voice": speech, "shorter": speech[:-2205], "silence": quiet}.items():
        write_audio(tmp_path / f"{name}.wav", wav, SAMPLE_RATE)
    (tmp_path / "broken.wav").write_bytes(b"no audio at all")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(command, [str(one) for one in arguments])


def test_json_holds_figures_notes_and_what_was_refused(files):
    paths = [files / f"{name}.wav" for name in ("voice", "broken", "silence")]
    done = run(*paths, *CHEAP, "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert list(found["refused"]) == [str(paths[1])] and found["refused"][str(paths[1])].startswith("unreadable")
    voice, silence = (found["files"][str(paths[at])] for at in (0, 2))
    assert voice["figures"]["pitch_hz"]["unit"] == "Hz" and 60 < voice["figures"]["pitch_hz"]["value"] < 300
    assert silence["figures"]["pitch_hz"]["value"] is None
    assert "pitch: silence: there is nothing to judge" in silence["notes"]
    assert set(found["limits"]) == {"pitch", "notes"}


def test_the_table_names_figures_limits_and_refused_files(files):
    done = run(files / "voice.wav", files / "broken.wav", *CHEAP)
    assert done.exit_code == 1 and "pitch_hz" in done.stdout and "chords, mixes, drums" in done.stdout
    assert f"{files / 'broken.wav'}: unreadable" in done.stderr
    assert run(files / "voice.wav", *CHEAP).exit_code == 0


def test_a_reference_adds_figures_of_two_signals_over_the_shorter_one(files):
    done = run(files / "shorter.wav", "--reference", files / "voice.wav", *CHEAP, "--json")
    found = json.loads(done.stdout)["files"][str(files / "shorter.wav")]
    assert found["figures"]["note_f1"]["value"] > 0.95 and found["figures"]["pitch_accuracy"]["value"] > 0.95
    assert "pitch: reference and file cut to the shorter one, 1.90 s" in found["notes"]


def test_what_a_judge_cannot_be_asked_is_a_note(files):
    write_audio(files / "slow.wav", np.full(8_000, 0.1, np.float32), 8_000)
    done = run(files / "slow.wav", *CHEAP, "--reference", files / "voice.wav", "--json")
    notes = json.loads(done.stdout)["files"][str(files / "slow.wav")]["notes"]
    assert "sample_rate: judge notes expected at least 16000 Hz; found 8000" in notes
    assert "judge pitch: expected a reference of the same sample rate; found 22050 Hz and 8000 Hz" in notes


def test_a_reference_that_cannot_be_read_ends_the_command(files):
    done = run(files / "voice.wav", "--reference", files / "broken.wav", *CHEAP)
    assert done.exit_code == 1 and "AudioError" in done.stderr and not done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "Name files"), (["x.wav", "--trial", "y"], "Name files"), (["x.wav", "--judge", "speaker"], "--reference")],
)
def test_what_cannot_be_done_is_told(arguments, said):
    done = run(*arguments)
    assert done.exit_code == 2 and said in done.stderr


def test_the_beginning_of_a_long_file_is_kept_and_the_rest_is_checked(tmp_path):
    generator = np.random.default_rng(0)
    wav = generator.uniform(-0.5, 0.5, (2, 5 * 16_000)).astype(np.float32)
    write_audio(tmp_path / "long.wav", wav, 16_000, "FLOAT")
    kept = read_beginning(tmp_path / "long.wav", 2)
    np.testing.assert_allclose(kept.wav, wav.mean(axis=0)[:32_000], atol=1e-7)
    assert (kept.sample_rate, kept.total_s, kept.note) == (16_000, 5.0, "judged by the first 2 s of 5.0 s")
    assert read_beginning(tmp_path / "long.wav", 5).note == ""
    content = bytearray((tmp_path / "long.wav").read_bytes())
    content[-4:] = np.float32(np.nan).tobytes()
    (tmp_path / "long.wav").write_bytes(content)
    with pytest.raises(AudioError, match="non-finite"):
        read_beginning(tmp_path / "long.wav", 2)
