"""What the audit holds models against: the edit's own audio, and the samples it keeps."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from soundgate.audio.exact import read_exact
from soundgate.tracks.editor.audit.heard import heard_on_raw_timeline
from soundgate.tracks.editor.audit.kept import identical_share, written_share, written_shares
from soundgate.tracks.editor.edit_list import EditList, Segment, write_edit_list
from soundgate.tracks.editor.editing.inputs import open_recording
from soundgate.tracks.editor.editing.output import write_sound
from soundgate.tracks.editor.editing.samples import SUMMARY
from soundgate.tracks.editor.rendering import pieces_of, render

HOP, N_FRAMES = 100, 80


def edit_of(*segments):
    return EditList(sample_rate=8_000, n_samples=HOP * N_FRAMES, segments=segments)


def span(label, first, last, **more):
    return Segment(label=label, start=first * HOP, stop=last * HOP, **more)


def played(edit):
    """Return for each frame of the edit which frame of the raw recording it plays."""
    frames = [np.arange(p.segment.start, p.segment.stop, HOP) / HOP for p in pieces_of(edit)]
    return np.concatenate(frames)[:, None]


def test_kept_frames_lie_where_they_were_and_cut_ones_are_silent():
    edit = edit_of(span("KEEP", 60, 80), span("KEEP", 10, 30))
    laid = heard_on_raw_timeline(played(edit), edit, HOP, N_FRAMES)[:, 0]
    expected = np.zeros(N_FRAMES)
    for first, last in ((60, 80), (10, 30)):
        expected[first:last] = np.arange(first, last)
    assert np.array_equal(laid, expected)


def test_a_loop_is_heard_as_it_sounds_the_first_time():
    edit = edit_of(span("LOOP", 20, 30, repeats=3))
    edited = np.arange(30.0)[:, None]
    laid = heard_on_raw_timeline(edited, edit, HOP, N_FRAMES)[:, 0]
    assert np.array_equal(laid[20:30], np.arange(10.0)) and not laid[:20].any() and not laid[30:].any()


def test_each_side_of_a_transition_has_the_frames_in_which_it_is_louder():
    edit = edit_of(span("TRANSITION", 0, 20, partner=40 * HOP))
    laid = heard_on_raw_timeline(np.arange(1.0, 21.0)[:, None], edit, HOP, N_FRAMES)[:, 0]
    assert np.array_equal(laid[:10], np.arange(1.0, 11.0))
    assert np.array_equal(laid[50:60], np.arange(11.0, 21.0))
    assert np.count_nonzero(laid) == 20


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_kept_samples_are_identical_and_the_control_sees_a_shift(dtype):
    wav = np.random.default_rng(0).integers(-(2**15), 2**15, (2, HOP * N_FRAMES)).astype(dtype)
    fade = span("FADE_OUT", 60, 80, gain=((0, 1), (1, 0)))
    edit = edit_of(span("KEEP", 0, 20), span("LOOP", 40, 60, repeats=2), fade)
    out = render(wav, edit)
    assert identical_share(out, wav, edit) == 1
    assert identical_share(out, wav, edit, shift=1) < 0.01
    assert identical_share(out[:, 1:], wav, edit) == 0


def test_an_edit_is_judged_by_the_file_that_is_written_of_it(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (HOP * N_FRAMES, 2))
    for name, kept in (("a.flac", 1), ("a.ogg", 1)):
        soundfile.write(tmp_path / name, noise, 8_000)
        edit = edit_of(span("KEEP", 0, 20), span("KEEP", 40, 60))
        identical, control = written_share(read_exact(tmp_path / name), edit, tmp_path)
        assert identical == kept and control < 0.01


def written(folder, touch=None, subtype="PCM_16"):
    """Write the edits of two recordings as `editor-render` does, and return what it is held against."""
    rows, pairs = [], []
    for number in range(2):
        name, raw = f"p{number}", folder / f"p{number}_raw.flac"
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, HOP * N_FRAMES)
        soundfile.write(raw, noise, 8_000, subtype)
        recording = open_recording(raw, folder)
        edit = edit_of(span("KEEP", 0, 20), span("KEEP", 40, 60))
        sound = render(recording.audio.samples, edit)
        if touch is not None:
            touch(sound)
        write_sound(folder / f"{name}.flac", sound, 8_000, subtype)
        write_edit_list(folder / f"{name}.edit.json", edit)
        rows.append({"pair_id": name, "sound": f"{name}.flac", "edit_list": f"{name}.edit.json"})
        pairs.append({"pair_id": name, "group": f"g{number}", "raw_path": raw})
    rows.append({"pair_id": "p0", "sound": "", "edit_list": "none.json"})
    pd.DataFrame(rows).to_csv(folder / SUMMARY, index=False)
    return written_shares(folder, pd.DataFrame(pairs))


def test_the_files_that_were_written_are_judged(tmp_path):
    shares = written(tmp_path)
    assert shares["group"].tolist() == ["g0", "g1"] and shares["identical"].tolist() == [1, 1]
    assert shares["control"].max() < 0.01


def test_an_editor_that_touches_what_is_kept_is_found(tmp_path):
    def touch(sound):
        sound[:, 1_000:1_200] ^= 1 << 16

    assert written(tmp_path, touch)["identical"].between(0.8, 0.99).all()


def test_a_writer_that_touches_what_is_kept_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("soundgate.audio.exact.on_steps", lambda samples, bits: samples >> 1 << 1 ^ (1 << (32 - bits)))
    assert written(tmp_path)["identical"].max() < 0.01
