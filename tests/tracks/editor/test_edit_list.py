import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from soundgate.runtime.errors import FormatError
from soundgate.tracks.editor.edit_list import EditList, Segment, Tone, keep_all, read_edit_list, write_edit_list
from soundgate.tracks.editor.exports.audacity import read_audacity, write_audacity
from soundgate.tracks.editor.exports.formats import NAMES, Format, format_of
from soundgate.tracks.editor.exports.otio import read_otio, write_otio
from soundgate.tracks.editor.exports.reaper import read_reaper, write_reaper
from soundgate.tracks.editor.timeline import (
    LOOP_REPEATS,
    beat_spans,
    expand,
    from_labels,
    labels_of,
    target_on_raw_timeline,
)
from soundgate.tracks.editor.vocabulary import Label
from tests.tracks.editor.drawn import edit_lists

MEDIA = Path("raw take.wav")
WAYS = {
    "json": Format(".json", lambda path, edit, _: write_edit_list(path, edit), read_edit_list),
    **{name: format_of(name) for name in NAMES},
}


@pytest.mark.parametrize("way", WAYS)
@given(edit=edit_lists())
@settings(deadline=None)
def test_an_edit_list_comes_back_as_it_was_written(tmp_path_factory, way, edit):
    ending, write, read = WAYS[way]
    path = tmp_path_factory.mktemp(way) / f"edit{ending}"
    write(path, edit, MEDIA)
    assert read(path) == edit


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rate", [4_000, 22_050, 44_100, 384_000])
def test_positions_are_exact_at_every_rate_hours_into_a_file(tmp_path, way, rate):
    n_samples = 3 * 3_600 * rate
    spans = [(1, 2), (n_samples // 3, n_samples // 3 + 7), (n_samples - 1, n_samples)]
    edit = EditList(
        sample_rate=rate, n_samples=n_samples, segments=[Segment(label="KEEP", start=a, stop=b) for a, b in spans]
    )
    ending, write, read = WAYS[way]
    write(tmp_path / f"edit{ending}", edit, MEDIA)
    assert read(tmp_path / f"edit{ending}") == edit


def test_what_is_moved_in_another_editor_is_read_back(tmp_path):
    edit = EditList(sample_rate=100, n_samples=1000, segments=[Segment(label="KEEP", start=100, stop=200)])
    write_audacity(tmp_path / "labels.txt", edit)
    text = (tmp_path / "labels.txt").read_text()
    (tmp_path / "labels.txt").write_text(text.replace("1.000000000\t2.0", "1.5\t3.0"))
    assert read_audacity(tmp_path / "labels.txt").segments[0].spans == [(150, 300)]
    write_reaper(tmp_path / "edit.rpp", edit, MEDIA)
    text = (tmp_path / "edit.rpp").read_text()
    (tmp_path / "edit.rpp").write_text(text.replace("SOFFS 1.0", "SOFFS 4.0"))
    assert read_reaper(tmp_path / "edit.rpp").segments[0].spans == [(400, 500)]
    write_otio(tmp_path / "edit.otio", edit, MEDIA)
    timeline = json.loads((tmp_path / "edit.otio").read_text())
    timeline["tracks"]["children"][0]["children"][0]["source_range"]["duration"]["value"] = 50.0
    (tmp_path / "edit.otio").write_text(json.dumps(timeline))
    assert read_otio(tmp_path / "edit.otio").segments[0].spans == [(100, 150)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("content", ["", "{}", "[]", "1\t2\t3 NOTHING\n", "<REAPER_PROJECT\n", "\x00\xff", "<A\n>\n"])
def test_files_that_are_no_edit_list_are_refused(tmp_path, way, content):
    path = tmp_path / f"edit{WAYS[way].ending}"
    path.write_text(content)
    with pytest.raises(FormatError):
        WAYS[way].read(path)


@pytest.mark.parametrize("way", WAYS)
def test_a_missing_file_is_refused(tmp_path, way):
    with pytest.raises(FormatError, match="No such file"):
        WAYS[way].read(tmp_path / "none")


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        ({"label": "KEEP", "start": 5, "stop": 5}, "not after"),
        ({"label": "LOOP", "start": 0, "stop": 5}, "at least 2"),
        ({"label": "KEEP", "start": 0, "stop": 5, "repeats": 2}, "at least 2"),
        ({"label": "TRANSITION", "start": 0, "stop": 5}, "partner"),
        ({"label": "KEEP", "start": 0, "stop": 5, "partner": 3}, "partner"),
        ({"label": "FADE_IN", "start": 0, "stop": 5}, "without a gain"),
        ({"label": "FADE_IN", "start": 0, "stop": 5, "gain": [[0, 1], [1, 0]]}, "wrong direction"),
        ({"label": "FADE_OUT", "start": 0, "stop": 5, "gain": [[0, 0], [1, 1]]}, "wrong direction"),
        ({"label": "EFFECT", "start": 0, "stop": 5, "gain": [[0, 1], [0.5, 1]]}, "rise from 0 to 1"),
        ({"label": "EFFECT", "start": 0, "stop": 5, "gain": [[0, 1], [1, 99]]}, "lies in"),
        ({"label": "EFFECT", "start": 0, "stop": 5}, "without a gain and a tone"),
        ({"label": "KEEP", "start": 0, "stop": 5, "tone": {"low_db": 3}}, "only EFFECT"),
        ({"label": "CUT", "start": 0, "stop": 5}, "Input should be"),
        ({"label": "KEEP", "start": 0, "stop": 11}, "leaves the 10 samples"),
        ({"label": "TRANSITION", "start": 0, "stop": 5, "partner": 6}, "leaves the 10 samples"),
        ({"label": "EFFECT", "start": 0, "stop": 5, "tone": {"low_db": 3}}, "needs a rate"),
        ({"label": "KEEP", "start": 0, "stop": 5, "volume": 1}, "Extra inputs"),
        ({"label": "EFFECT", "start": 0, "stop": 5, "gain": [[0, float("nan")], [1, 1]]}, "lies in"),
    ],
)
def test_impossible_segments_are_refused(segment, reason):
    with pytest.raises(ValidationError, match=reason):
        EditList(sample_rate=8_000, n_samples=10, segments=[segment])


def test_labels_become_the_edit_they_describe_and_come_back():
    spans = beat_spans(np.arange(0, 120, 10), 120)
    names = "FADE_IN FADE_IN KEEP CUT CUT LOOP TRANSITION CUT TRANSITION EFFECT KEEP FADE_OUT"
    labels = np.array([Label[name] for name in names.split()])
    edit = from_labels(labels, spans, 16_000, Tone(low_db=3))
    assert [(s.label, s.start, s.stop, s.partner) for s in edit.segments] == [
        ("FADE_IN", 0, 20, None),
        ("KEEP", 20, 30, None),
        ("LOOP", 50, 60, None),
        ("TRANSITION", 60, 70, 80),
        ("EFFECT", 90, 100, None),
        ("KEEP", 100, 110, None),
        ("FADE_OUT", 110, 120, None),
    ]
    np.testing.assert_array_equal(labels_of(edit, spans), labels)


@given(edit=edit_lists())
@settings(deadline=None)
def test_any_labels_come_back_from_the_edit_they_describe(edit):
    spans = beat_spans(np.arange(0, edit.n_samples, 100), edit.n_samples)
    labels = labels_of(edit, spans)
    again = from_labels(labels, spans, edit.sample_rate, Tone(low_db=1))
    # A transition needs two equal halves; the rest is told by its label alone.
    same = labels != Label.TRANSITION
    np.testing.assert_array_equal(labels_of(again, spans)[same], labels[same])


def test_runs_of_transitions_are_halved_and_one_alone_is_kept():
    spans = beat_spans(np.arange(0, 80, 10), 80)
    labels = np.full(8, Label.KEEP)
    labels[2:6] = Label.TRANSITION
    [_, transition, _] = from_labels(labels, spans, 16_000, Tone()).segments
    assert transition.spans == [(20, 40), (40, 60)]
    labels[3:6] = Label.KEEP
    assert {segment.label for segment in from_labels(labels, spans, 16_000, Tone()).segments} == {"KEEP"}


def test_expanding_counts_beats():
    names = "KEEP CUT LOOP LOOP TRANSITION CUT TRANSITION KEEP"
    labels = np.array([Label[name] for name in names.split()])
    np.testing.assert_array_equal(expand(labels, np.arange(8)), [0, *[2, 3] * LOOP_REPEATS, 4, 7])
    assert len(expand(np.zeros(3, int), np.arange(3))) == 0


def test_spans_cover_the_recording():
    np.testing.assert_array_equal(beat_spans([5, 9, 9, 12, -1], 10), [[0, 5], [5, 9], [9, 10]])
    np.testing.assert_array_equal(beat_spans([], 10), [[0, 10]])
    assert beat_spans([], 0).shape == (0, 2)


def test_the_target_has_the_raw_length_and_the_edits_gains():
    mel = np.full((3, 10), -10.0, np.float32)
    segments = [
        Segment(label="KEEP", start=0, stop=20),
        Segment(label="FADE_OUT", start=40, stop=60, gain=((0, 1), (1, 0))),
        Segment(label="EFFECT", start=70, stop=80, gain=((0, 2), (1, 2))),
        Segment(label="TRANSITION", start=80, stop=90, partner=90),
    ]
    edit = EditList(sample_rate=1_000, n_samples=100, segments=segments)
    target = target_on_raw_timeline(mel, edit, 10, -80.0, np.array([100.0, 200.0, 300.0]))
    assert target.shape == mel.shape and target.dtype == mel.dtype
    np.testing.assert_array_equal(target[:, :2], mel[:, :2])
    np.testing.assert_array_equal(target[:, [2, 3, 6]], -80)
    assert target[0, 4] == pytest.approx(-10, abs=0.3) and target[0, 5] == pytest.approx(-16, abs=0.6)
    assert target[0, 7] == pytest.approx(-10 + 6.02, abs=0.01)
    assert target[0, 8] == pytest.approx(-10, abs=0.1) and target[0, 9] < -30


def test_keeping_all_of_nothing_is_an_empty_list():
    assert keep_all(0, 8_000).segments == () and keep_all(5, 8_000).output_samples == 5
