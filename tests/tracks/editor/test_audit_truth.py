"""What the audit holds models against: the edit's own audio, and the samples it keeps."""

import numpy as np
import pytest

from soundgate.tracks.editor.audit.heard import heard_on_raw_timeline
from soundgate.tracks.editor.audit.kept import identical_share
from soundgate.tracks.editor.edit_list import EditList, Segment
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
    assert identical_share(wav, edit) == 1
    assert identical_share(wav, edit, shift=1) < 0.01


def test_a_renderer_that_touches_what_is_kept_is_found(monkeypatch):
    wav = np.random.default_rng(0).standard_normal((1, HOP * N_FRAMES))
    edit = edit_of(span("KEEP", 0, 20), span("KEEP", 40, 60))

    def touched(wav, edit):
        out = render(wav, edit)
        out[:, 1_000:1_200] *= 1 + 1e-12
        return out

    monkeypatch.setattr("soundgate.tracks.editor.audit.kept.render", touched)
    assert 0.8 < identical_share(wav, edit) < 1
