"""`soundgate recover`: whole edit lists from pairs of files, and what is left of the edits."""

import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from soundgate.tracks.editor.commands import recover as command
from soundgate.tracks.editor.edit_list import EditList, Segment, read_edit_list
from soundgate.tracks.editor.exports.otio import read_otio
from soundgate.tracks.editor.recovery.curves import with_curves
from soundgate.tracks.editor.recovery.listing import edit_list_of
from soundgate.tracks.editor.recovery.nulling import best_null, null_test
from soundgate.tracks.editor.recovery.recover import recover
from soundgate.tracks.editor.recovery.settings import RecoverySettings
from soundgate.tracks.editor.rendering import render
from tests.tracks.editor.other_editor import EFFECT, FADE_IN, KEEP, LOOP, RATE, drifted, edited, song

SETTINGS = RecoverySettings(jump_on_beats=4, jump_anywhere=10, fade_slope=0.15, effect_db=2)
PLAIN = ((KEEP, 0, 12), (KEEP, 24, 36), (LOOP, 40, 44, 3), (KEEP, 14, 22))


@pytest.fixture(scope="module")
def pair():
    raw, beats = song(48, 4)
    return raw, beats, edited(raw, beats, PLAIN)[0]


def listed(raw, wav, beats):
    found = recover(raw, wav, RATE, beats, SETTINGS)
    return found, edit_list_of(found, RATE, RATE, len(raw))


def test_order_repeats_and_places_of_a_clean_edit_are_found_and_nothing_is_left(pair):
    raw, beats, wav = pair
    found, edit = listed(raw, wav, beats)
    beat = int(beats[1])
    assert [(s.label, s.repeats) for s in edit.segments] == [("KEEP", 1), ("KEEP", 1), ("LOOP", 3), ("KEEP", 1)]
    wanted = [(0, 12), (24, 36), (40, 44), (14, 22)]
    for segment, (first, last) in zip(edit.segments, wanted, strict=True):
        assert abs(segment.start - first * beat) < 300 and abs(segment.stop - last * beat) < 300
    # What is left are the joins, which the other editor fades by straight lines.
    power = null_test(raw, found.edit, edit).residual_db
    kept, linear = best_null(raw, found.edit, edit)
    assert linear.linear_joins and kept.crossfade_s == 0.01 and linear.residual_db < min(power - 3, -40)
    # It fades in and out at the ends of the file too; between them nothing is left.
    assert max(linear.spans_db[1:-1]) < -60
    same, again = listed(raw, render(raw[None], edit)[0], beats)
    assert null_test(raw, same.edit, again).residual_db < -40


def test_a_loop_within_what_is_played_on_is_one(pair):
    """Before and behind it the same passage goes on, so the aligned runs begin and end elsewhere."""
    raw, beats, _ = pair
    wav, _ = edited(raw, beats, ((KEEP, 2, 12), (KEEP, 8, 12), (KEEP, 8, 24)))
    found, edit = listed(raw, wav, beats)
    beat = int(beats[1])
    assert [(s.label, s.repeats) for s in edit.segments] == [("KEEP", 1), ("LOOP", 3), ("KEEP", 1)]
    for segment, (first, last) in zip(edit.segments, [(2, 8), (8, 12), (12, 24)], strict=True):
        assert abs(segment.start - first * beat) < 600 and abs(segment.stop - last * beat) < 600
    assert null_test(raw, found.edit, edit).residual_db < -30


def test_what_is_left_of_a_drifting_edit_is_little_and_of_another_song_everything(pair):
    raw, beats, wav = pair
    found, edit = listed(raw, drifted(wav, 1 + 50e-6), beats)
    assert null_test(raw, found.edit, edit).residual_db < -22
    assert null_test(song(48, 99)[0][: len(raw)], found.edit, edit).residual_db > -1


def test_a_level_and_a_fade_are_fitted():
    raw, beats = song(48, 6)
    plan = ((FADE_IN, 0, 4), (KEEP, 4, 20), (EFFECT, 24, 30, 0.5, 0.0), (KEEP, 32, 44))
    wav, _ = edited(raw, beats, plan)
    edit = listed(raw, wav, beats)[1]
    shaped = {segment.label: segment for segment in edit.segments}
    assert {"FADE_IN", "EFFECT", "KEEP"} == set(shaped)
    assert shaped["EFFECT"].gain[0][1] == pytest.approx(0.5, abs=0.05)
    gains = [gain for _, gain in shaped["FADE_IN"].gain]
    assert gains[0] < 0.2 and gains[-1] > 0.85 and gains == sorted(gains)


SHAPES = {
    "linear": lambda x: x,
    "equal power": lambda x: np.sin(x * np.pi / 2),
    "exponential": lambda x: (np.exp(4 * x) - 1) / (np.exp(4) - 1),
    "s": lambda x: x * x * (3 - 2 * x),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_fades_of_any_shape_leave_nothing(shape):
    raw, beats = song(48, 4)
    start, first, last, stop = beats[[2, 6, 30, 34]]
    wav = raw[start:stop].copy()
    wav[: first - start] *= SHAPES[shape](np.linspace(0, 1, first - start))
    wav[last - stop :] *= SHAPES[shape](np.linspace(1, 0, stop - last))
    found, edit = listed(raw, wav.astype(np.float32), beats)
    assert [segment.label for segment in edit.segments] == ["FADE_IN", "KEEP", "FADE_OUT"]
    coarse = null_test(raw, found.edit, edit).residual_db
    assert best_null(raw, found.edit, with_curves(edit, raw, found.edit))[1].residual_db < min(-40, coarse - 10)


def test_curves_are_of_fades_alone_and_only_where_they_leave_less():
    raw = song(16, 8)[0]
    n = len(raw)
    exact = Segment(label="FADE_IN", start=0, stop=n // 2, gain=((0.0, 0.0), (1.0, 1.0)))
    level = Segment(label="EFFECT", start=n // 2, stop=n // 2 + 9_000, gain=((0.0, 0.5), (1.0, 0.5)))
    loop = Segment(label="LOOP", start=n // 2, stop=n // 2 + 9_000, repeats=3)
    edit = EditList(sample_rate=RATE, n_samples=n, segments=(exact, level, loop))
    played = render(raw[None], edit)[0]
    fitted = with_curves(edit, raw, played)
    assert fitted.segments[1:] == (level, loop) and fitted.output_samples == edit.output_samples
    assert null_test(raw, played, fitted).residual_db <= null_test(raw, played, edit).residual_db + 0.1
    assert with_curves(edit, raw, 0 * played).segments[0].gain[-1][1] == pytest.approx(0, abs=1e-6)


def test_a_null_test_finds_the_delay_and_gain_of_each_piece():
    raw = song(16, 8)[0]
    half = len(raw) // 2
    segments = (Segment(label="KEEP", start=half, stop=len(raw)), Segment(label="KEEP", start=0, stop=half))
    edit = EditList(sample_rate=RATE, n_samples=len(raw), segments=segments)
    played = render(raw[None], edit)[0]
    null = null_test(raw, 0.5 * np.roll(played, 40), edit)
    assert null.gains == pytest.approx([0.5, 0.5], abs=0.01) and null.residual_db < -25
    assert null_test(raw, played, edit).residual_db == -120


def files(tmp_path, pair, rate=RATE, gains=(1.0,)):
    raw, _, wav = pair
    paths = tmp_path / "a_raw.wav", tmp_path / "a_edit.wav"
    soundfile.write(paths[0], raw, RATE)
    soundfile.write(paths[1], np.stack([gain * wav for gain in gains], axis=1), rate)
    return [str(path) for path in paths]


def run(*arguments):
    return CliRunner().invoke(command, list(map(str, arguments)))


def test_a_pair_of_files_gives_list_report_and_picture(tmp_path, pair, monkeypatch):
    raw, edit = files(tmp_path, pair, gains=(-1.0, -0.5))
    done = run(raw, edit, "--out", tmp_path / "höre $x" / "edit.json", "--export", "otio", "--export", "audacity")
    assert done.exit_code == 0, done.output
    folder = tmp_path / "höre $x"
    endings = ["json", "labels.txt", "otio", "png", "recovered.json"]
    assert sorted(path.name for path in folder.iterdir()) == [f"edit.{ending}" for ending in endings]
    exported = read_otio(folder / "edit.otio")
    assert [s.start for s in exported.segments] == [s.start for s in read_edit_list(folder / "edit.json").segments]
    report = json.loads((folder / "edit.recovered.json").read_text())
    assert report["polarity"] == -1 and report["rate"] == 1 and report["likeness"] > 0.9
    assert report["joins"] == "linear" and not report["pitch_kept"]
    assert np.array(report["channels"]) == pytest.approx(np.array([[-1], [-0.5]]), abs=0.01)
    assert read_edit_list(folder / "edit.json").n_samples == len(pair[0])
    assert "LOOP" in done.output


def test_files_of_other_music_and_of_nothing_are_refused(tmp_path, pair):
    raw, edit = files(tmp_path, pair)
    soundfile.write(tmp_path / "other.wav", song(30, 50)[0], RATE)
    done = run(raw, tmp_path / "other.wav", "--out", tmp_path / "edit.json")
    assert done.exit_code == 1 and "expected an edit of" in done.output
    for name, wav, word in (("silent", np.zeros(RATE), "silence"), ("short", pair[0][:99], "0.004 s")):
        soundfile.write(tmp_path / f"{name}.wav", wav, RATE)
        done = run(raw, tmp_path / f"{name}.wav", "--out", tmp_path / "edit.json")
        assert done.exit_code == 1 and word in done.output
    assert run(raw, "--out", tmp_path / "edit.json").exit_code == 2


def test_a_folder_of_pairs_gives_a_list_for_each(tmp_path, pair):
    files(tmp_path, pair)
    done = run(tmp_path, "--out", tmp_path / "out")
    assert done.exit_code == 0 and (tmp_path / "out" / "a.edit.json").is_file()
    assert run(tmp_path / "out", "--out", tmp_path / "none").exit_code == 1
