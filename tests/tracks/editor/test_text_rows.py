"""Label tracks and beats as other programs write them."""

import numpy as np
import pytest

from soundgate.audio.exact import ExactAudio
from soundgate.runtime.errors import FormatError
from soundgate.tracks.editor.edit_list import EditList, Segment
from soundgate.tracks.editor.editing.inputs import Recording, read_beats
from soundgate.tracks.editor.editing.own_labels import read_own_labels
from soundgate.tracks.editor.exports.audacity import read_audacity, write_audacity
from soundgate.tracks.editor.grid import Grid
from soundgate.tracks.editor.vocabulary import Label

RATE = 100
SPANS = np.arange(8)[:, None] * RATE + [0, RATE]  # beats of a second
WANTED = [Label.KEEP, Label.CUT, Label.CUT, Label.KEEP, Label.FADE_OUT, Label.FADE_OUT, Label.KEEP, Label.KEEP]
TRACK = "1.000000\t3.000000\tCUT\n4.000000\t6.000000\tFADE_OUT\n"

TRACKS = {
    "as Audacity writes it": TRACK,
    "line ends of Windows": TRACK.replace("\n", "\r\n"),
    "line ends of old Macs": TRACK.replace("\n", "\r"),
    "byte order mark": "\ufeff" + TRACK,
    "decimal commas": TRACK.replace(".", ","),
    "lower case, other joints": TRACK.replace("CUT", "cut").replace("FADE_OUT", " Fade-out "),
    "frequency rows": "1.0\t3.0\tCUT\n\\\t500.000000\t4000.000000\n4.0\t6.0\tFADE OUT\n\\\t-1.000000\t-1.000000\n",
    "points": "0.000000\t0.000000\t\n" + TRACK + "2.5\t2.5\tnote to self\n",
    "commas": "1.0,3.0,CUT\n4.0, 6.0, FADE_OUT\n",
    "commas, whole seconds": "1,3,CUT\n4,6,FADE_OUT\n",
    "commas between decimal commas": "1,0,3,0,CUT\n4,0,6,0,FADE_OUT\n",
    "semicolons": "1,0;3,0;CUT\n4,0;6,0;FADE_OUT\n",
    "blanks": "1.0 3.0 CUT\n4.0   6.0 FADE OUT\n",
    "blanks, decimal commas": "1,0 3,0 CUT\n4,0 6,0 FADE_OUT\n",
    "quotes and names of columns": '"start","end","label"\n"1.0","3.0","CUT"\n"4.0","6.0","FADE_OUT"\n',
    "comments and empty lines": "# of Tuesday\n\n" + TRACK + "\n \n",
}


def grid():
    return Grid(np.arange(9), SPANS, np.arange(8))


def labels(path):
    return read_own_labels(path, grid(), 8, 8 * RATE, RATE)


def refusal(read, path):
    with pytest.raises(FormatError) as caught:
        read(path)
    return str(caught.value)


@pytest.mark.parametrize("name", TRACKS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_label_track_is_read_as_it_is_written_elsewhere(tmp_path, name, encoding):
    (tmp_path / "l.txt").write_bytes(TRACKS[name].encode(encoding))
    assert labels(tmp_path / "l.txt").tolist() == WANTED


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_names_alone_are_read_in_any_encoding(tmp_path, encoding):
    names = ["keep", "CUT", "Cut", "KEEP", "fade out", "FADE-OUT", "KEEP", "KEEP"]
    (tmp_path / "l.txt").write_bytes("\r\n".join(names).encode(encoding))
    assert labels(tmp_path / "l.txt").tolist() == WANTED


@pytest.mark.parametrize("rate", ["1e999", "NaN", '"100"', "null"])
def test_an_exported_track_without_a_rate_is_refused(tmp_path, rate):
    (tmp_path / "l.txt").write_text(f'0\t8\tedit {{"sample_rate": {rate}, "n_samples": 800}}\n0\t2\t0 KEEP\n')
    assert "expected regions of an edit list" in refusal(labels, tmp_path / "l.txt")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1,2," + "A" * 200_000, "a line of text columns (field larger"),
        ("1\t2\t0 LOOP x99999999999", "start, end, '<number> <label>"),
        ("1\t2\t" + "9" * 5_000 + " KEEP", "start, end, '<number> <label>"),
    ],
    ids=["long", "repeats", "number"],
)
def test_a_line_beyond_all_bounds_is_refused(tmp_path, line, expected):
    (tmp_path / "l.txt").write_text('0\t8\tedit {"sample_rate": 100, "n_samples": 800}\n' + line)
    assert f"l.txt, line 2: expected {expected}" in refusal(labels, tmp_path / "l.txt")


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (TRACK + "7.0\t7.5\tSHOUT\n", 3, "one of CUT"),
        (TRACK + "\n\nx\t7.5\tCUT\n", 5, "a time in seconds in column 1"),
        (TRACK + "7.0\n", 3, "a time in seconds in column 2"),
        (TRACK + "7.0\t1.234,5\tCUT\n", 3, "a time in seconds in column 2"),
        (TRACK + "7.0\tnan\tCUT\n", 3, "a time in seconds in column 2"),
        (TRACK + "7.0\t1e999\tCUT\n", 3, "a time in seconds in column 2"),
        (TRACK + "7.5\t7.0\tCUT\n", 3, "an end behind the start"),
        ("KEEP\nSILENCE\n", 2, "one of CUT"),
    ],
)
def test_a_line_that_is_none_is_named_with_what_was_expected(tmp_path, text, line, expected):
    (tmp_path / "l.txt").write_text(text)
    message = refusal(labels, tmp_path / "l.txt")
    shown = text.splitlines()[line - 1]
    assert f"l.txt, line {line}: expected {expected}" in message and repr(shown) in message


def test_long_lines_are_shown_in_part(tmp_path):
    (tmp_path / "l.txt").write_bytes(b"RIFF" * 10_000)
    assert len(refusal(labels, tmp_path / "l.txt")) < 400


@pytest.mark.parametrize("text", ["", "\n \n", "9.0\t10.0\tCUT\n", "1.0\t1.0\tCUT\n", "# nothing\n"])
def test_a_track_without_a_region_in_the_recording_is_refused(tmp_path, text):
    (tmp_path / "l.txt").write_text(text)
    assert "labels" in refusal(labels, tmp_path / "l.txt") or "region with a length" in refusal(
        labels, tmp_path / "l.txt"
    )


def test_an_exported_track_comes_back_from_audacity(tmp_path):
    segments = [
        Segment(label="KEEP", start=400, stop=700),
        Segment(label="LOOP", start=0, stop=150, repeats=3),
        Segment(label="FADE_OUT", start=33, stop=55, gain=[(0, 1), (1, 0)]),
    ]
    edit = EditList(sample_rate=RATE, n_samples=8 * RATE, segments=segments)
    write_audacity(tmp_path / "l.txt", edit)
    rows = [line.split("\t") for line in (tmp_path / "l.txt").read_text().splitlines()]
    rows.sort(key=lambda row: float(row[0]))
    for comma in (False, True):
        times = [[f"{float(cell):.6f}".replace(".", "," if comma else ".") for cell in row[:2]] for row in rows]
        lines = ["\t".join((*time, row[2])) for time, row in zip(times, rows, strict=True)]
        text = "\ufeff" + "\r\n".join([*lines[:2], "\\\t-1.000000\t-1.000000", *lines[2:], "2.0\t2.0\tpoint"])
        (tmp_path / "again.txt").write_text(text, newline="")
        assert read_audacity(tmp_path / "again.txt") == edit == labels(tmp_path / "again.txt")


BEATS = {
    "plain": "0.5\n1.0\n1.5\n",
    "byte order mark": "\ufeff0.5\r\n1.0\r\n1.5\r\n",
    "Sonic Visualiser": "0.500000000,1\n1.000000000,2\n1.500000000,3\n",
    "names of columns": "TIME,LABEL\n0.5,1\n1.0,2\n1.5,3\n",
    "a name of the column": "seconds\n0.5\n1.0\n1.5\n",
    "decimal commas": "0,5\n1,0\n1,5\n",
    "decimal commas and tabs": "0,5\t1\n1,0\t2\n1,5\t3\n",
    "decimal commas and semicolons": "0,5;1\n1,0;2\n1,5;3\n",
    "points of a label track": "0.5\t0.5\t1\n1.0\t1.0\t2\n\\\t1.0\t2.0\n1.5\t1.5\t\n",
    "blanks": " 0.5 1\n 1.0 2\n 1.5 3\n",
    "trailing separators": "0.5,\n1.0,\n1.5,\n",
}


def beats(path):
    audio = ExactAudio(np.zeros((1, 8 * RATE), np.float32), RATE, "FLOAT")
    return read_beats(path, Recording(audio, np.zeros(9, np.float32)))


@pytest.mark.parametrize("name", BEATS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_beats_are_read_as_they_are_written_elsewhere(tmp_path, name, encoding):
    (tmp_path / "b.txt").write_bytes(BEATS[name].encode(encoding))
    assert beats(tmp_path / "b.txt").tolist() == [50, 100, 150]


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [("0.5\nx\n", 2, "a time"), ("0.5\n1:02.5\n", 2, "a time"), ("0.5\n1.5\n\n1.0\n", 4, "times that rise")],
)
def test_a_line_that_is_no_beat_is_named(tmp_path, text, line, expected):
    (tmp_path / "b.txt").write_text(text)
    assert f"b.txt, line {line}: expected {expected}" in refusal(beats, tmp_path / "b.txt")
