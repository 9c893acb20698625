"""Exports as programs of other hands read them, and what comes back once they were changed there."""

import os
from fractions import Fraction
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import numpy as np
import opentimelineio as otio
import pytest
import rpp
from opentimelineio.opentime import RationalTime, TimeRange
from otio_cmx3600_adapter import cmx_3600
from otio_fcpx_xml_adapter import fcpx_xml

from soundgate.runtime.errors import FormatError
from soundgate.tracks.editor.edit_list import EditList, Segment, Tone
from soundgate.tracks.editor.exports.clips import clips_of
from soundgate.tracks.editor.exports.edl import FRAMES_A_SECOND
from soundgate.tracks.editor.exports.formats import NAMES, format_of
from soundgate.tracks.editor.exports.otio import read_otio
from soundgate.tracks.editor.exports.reaper import read_reaper

RATES = [44_100, 48_000, 96_000]
NAMES_OF_MEDIA = [
    'he said "so"',
    "it's",
    "a\\b",
    "$x $y",
    "日本語 ñ",
    "both \" and '",
    os.fsdecode(b"caf\xe9"),
    "<&> %20;",
]


def seconds(number, rate):
    """A place in samples that lies on no frame of a second."""
    return round(number * rate) + 7


def edit_at(rate, *segments):
    return EditList(sample_rate=rate, n_samples=60 * rate, segments=segments)


def segment(label, start, stop, rate, **more):
    return Segment(label=label, start=seconds(start, rate), stop=seconds(stop, rate), **more)


def all_labels(rate):
    return edit_at(
        rate,
        segment("FADE_IN", 1, 2.5, rate, gain=((0, 0), (1, 1))),
        segment("KEEP", 2.5, 4, rate),
        segment("LOOP", 8, 9.3, rate, repeats=3),
        segment("EFFECT", 10, 11, rate, gain=((0, 0.5), (1, 0.5)), tone=Tone(low_db=3)),
        segment("EFFECT", 12, 13, rate, gain=((0, 1), (0.25, 2), (1, 0.5))),
        segment("TRANSITION", 20, 21, rate, partner=seconds(31, rate)),
        segment("FADE_OUT", 40, 41, rate, gain=((0, 1), (1, 0))),
    )


def export(folder, name, edit, media="take.wav"):
    ending, write, _ = format_of(name)
    path = folder / f"edit{ending}"
    write(path, edit, folder / media)
    return path


def path_of(url):
    return os.fsdecode(unquote_to_bytes(url.removeprefix("file://")))


@pytest.mark.parametrize("rate", RATES)
def test_opentimelineio_reads_the_spans_fades_and_levels(tmp_path, rate):
    edit = all_labels(rate)
    timeline = otio.adapters.read_from_file(str(export(tmp_path, "otio", edit)))
    main, partners = timeline.audio_tracks()
    items = [*main.find_clips(), *partners.find_clips()]
    ranges = [(item.source_range.start_time, item.source_range.duration) for item in items]
    assert {time.rate for pair in ranges for time in pair} == {rate}
    spans = [(int(start.value), int((start + length).value)) for start, length in ranges]
    clips = sorted(clips_of(edit), key=lambda clip: clip.partner)
    assert spans == [(clip.start, clip.stop) for clip in clips]
    begins = [int(item.range_in_parent().start_time.value) for item in items]
    assert begins == [clip.position for clip in clips]
    assert all(item.media_reference.available_range.duration.value == 60 * rate for item in items)
    faded = [item for item in main if isinstance(item, otio.schema.Transition)]
    fades = [(item.name, item.in_offset.value, item.out_offset.value) for item in faded]
    half = round(edit.crossfade_s * rate / 2)
    lengths = [segment.length for segment in edit.segments]
    assert fades[0] == ("fade in", 0, lengths[0]) and fades[-1] == ("fade out", lengths[6], 0)
    assert fades[-2] == ("fade out", lengths[5], 0) and set(fades[1:-2]) == {("join", half, half)} and len(fades) == 9
    assert [effect.effect_name for item in main.find_clips() for effect in item.effects] == ["audiolevels"] * 2


@pytest.mark.parametrize("rate", RATES)
def test_the_rpp_library_reads_items_that_play_the_edit(tmp_path, rate):
    edit = all_labels(rate)
    project = rpp.loads(export(tmp_path, "rpp", edit).read_text())
    tracks = project.findall("TRACK")
    assert [track.find("NAME")[1] for track in tracks] == ["edit", "transitions"]
    items = [item for track in tracks for item in track.findall("ITEM")]
    clips = sorted(clips_of(edit), key=lambda clip: clip.partner)
    half, found = round(edit.crossfade_s * rate / 2), []
    for item, clip in zip(items, clips, strict=True):
        begin, length, offset = (round(float(item.find(key)[1]) * rate) for key in ("POSITION", "LENGTH", "SOFFS"))
        before = clip.position - begin
        assert before in (0, half) and clip.start - offset == before and length - clip.length - before in (0, half)
        fades = [round(float(item.find(key)[2]) * rate) for key in ("FADEIN", "FADEOUT")]
        found.append((before, length - clip.length - before, *fades, float(item.find("VOLPAN")[3])))
    lengths = [clip.length for clip in clips]
    assert found == [
        (0, 0, lengths[0], 0, 1),
        (0, half, 0, 2 * half, 1),
        *[(half, half, 2 * half, 2 * half, 1)] * 3,
        (half, half, 2 * half, 2 * half, 0.5),
        (half, half, 2 * half, 2 * half, 1),
        (half, 0, 2 * half, lengths[7], 1),
        (0, 0, 0, lengths[8], 1),
        (0, 0, lengths[9], 0, 1),
    ]
    [envelope] = project.findall(".//VOLENV")
    points = [[float(value) for value in point[1:3]] for point in envelope.findall("PT")]
    end_s = (lengths[6] + 2 * half) / rate
    np.testing.assert_allclose(points, [(0, 1), (0.25 * end_s, 2), (end_s, 0.5)], atol=1e-6)


@pytest.mark.parametrize("rate", RATES)
def test_the_cmx_adapter_reads_events_to_the_frame(tmp_path, rate):
    edit = all_labels(rate)
    timeline = cmx_3600.read_from_string(export(tmp_path, "edl", edit).read_text(), rate=FRAMES_A_SECOND)
    tracks = {track.name: list(track.find_clips()) for track in timeline.tracks}
    clips = sorted(clips_of(edit), key=lambda clip: clip.partner)
    items = tracks["A1"] + tracks["A2"]
    frame = 1 / FRAMES_A_SECOND
    for item, clip in zip(items, clips, strict=True):
        span = item.source_range
        assert span.start_time.to_seconds() == pytest.approx(clip.start / rate, abs=0.51 * frame)
        assert span.duration.to_seconds() == pytest.approx(clip.length / rate, abs=1.01 * frame)
        assert path_of(item.media_reference.target_url) == str(tmp_path / "take.wav") and item.name == "take.wav"
    for item, clip in zip(tracks["A1"], clips, strict=False):
        begin = item.range_in_parent().start_time.to_seconds()
        assert begin == pytest.approx(clip.position / rate, abs=0.51 * frame)
    levels = [comment for comment in items[5].metadata["cmx_3600"]["comments"] if comment.startswith("AUDIO LEVEL")]
    assert levels == ["AUDIO LEVEL AT 00:00:10:00 IS -6.02 DB  (REEL AX A1)"]


@pytest.mark.parametrize("rate", RATES)
def test_the_final_cut_adapter_reads_clips_on_two_lanes(tmp_path, rate):
    edit = all_labels(rate)
    text = export(tmp_path, "fcpxml", edit).read_text()
    [timeline] = fcpx_xml.read_from_string(text)
    clips, frame = sorted(clips_of(edit), key=lambda clip: clip.partner), 1 / 30
    tracks = {track.name: [item for item in track if isinstance(item, otio.schema.Clip)] for track in timeline.tracks}
    for item, clip in zip(tracks["-1"] + tracks["-2"], clips, strict=True):
        assert item.name == clip.label and path_of(item.media_reference.target_url) == str(tmp_path / "take.wav")
        assert item.source_range.start_time.to_seconds() == pytest.approx(clip.start / rate, abs=1.01 * frame)
        assert item.source_range.duration.to_seconds() == pytest.approx(clip.length / rate, abs=1.01 * frame)
    # The adapter counts whole frames; the file itself has every sample.
    elements = sorted(ElementTree.fromstring(text).iter("asset-clip"), key=lambda element: element.get("lane"))
    times = [[Fraction(e.get(key)[:-1]) * rate for key in ("offset", "start", "duration")] for e in elements]
    assert times == [[clip.position, clip.start, clip.length] for clip in clips]
    faded = elements[0].find("adjust-volume/param/fadeIn")
    assert Fraction(faded.get("duration")[:-1]) * rate == clips[0].length and faded.get("type") == "linear"
    assert float(elements[5].find("adjust-volume").get("amount")[:-2]) == pytest.approx(-6.0206, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", RATES)
def test_everything_comes_back(tmp_path, name, rate):
    edit = all_labels(rate)
    assert format_of(name).read(export(tmp_path, name, edit)) == edit


@pytest.mark.parametrize("media", NAMES_OF_MEDIA)
def test_recordings_of_any_name_are_found(tmp_path, media):
    edit, wanted = edit_at(48_000, segment("KEEP", 1, 2, 48_000)), str(tmp_path / f"{media}.wav")
    paths = {name: export(tmp_path, name, edit, f"{media}.wav") for name in NAMES if name != "audacity"}
    project = rpp.loads(os.fsdecode(paths["rpp"].read_bytes()))
    assert project.find(".//SOURCE").find("FILE")[1] == wanted
    timeline = otio.adapters.read_from_file(str(paths["otio"]))
    lists = cmx_3600.read_from_string(paths["edl"].read_text(), rate=FRAMES_A_SECOND)
    [project] = fcpx_xml.read_from_string(paths["fcpxml"].read_text())
    for own in (timeline, lists, project):
        [clip] = own.find_clips()
        assert path_of(clip.media_reference.target_url) == wanted
    for name, path in paths.items():
        assert format_of(name).read(path) == edit


@pytest.mark.parametrize("media", ["all of \" ' and `.wav", "two\nlines.wav"])
def test_a_name_that_reaper_cannot_write_is_refused(tmp_path, media):
    with pytest.raises(FormatError, match="a name that Reaper reads"):
        export(tmp_path, "rpp", edit_at(48_000), media)
    assert not list(tmp_path.iterdir())


def resampled(time, rate):
    return RationalTime(time.value * rate / time.rate, rate)


@pytest.mark.parametrize("rate", RATES)
def test_times_of_another_rate_are_read_as_what_they_are(tmp_path, rate):
    path = export(tmp_path, "otio", edit_at(44_100, Segment(label="KEEP", start=44_100, stop=441_000)))
    timeline = otio.adapters.read_from_file(str(path))
    [clip] = timeline.find_clips()
    span = clip.source_range
    clip.source_range = TimeRange(resampled(span.start_time, rate), resampled(span.duration, rate))
    otio.adapters.write_to_file(timeline, str(path))
    assert read_otio(path).segments[0].spans == [(44_100, 441_000)]


def test_a_source_that_does_not_begin_at_zero_is_read(tmp_path):
    path = export(tmp_path, "otio", edit_at(48_000, segment("KEEP", 1, 2, 48_000)))
    timeline = otio.adapters.read_from_file(str(path))
    [clip] = timeline.find_clips()
    hour = RationalTime(3_600, 1)
    for owner, name in ((clip, "source_range"), (clip.media_reference, "available_range")):
        span = getattr(owner, name)
        setattr(owner, name, TimeRange(span.start_time + hour.rescaled_to(48_000), span.duration))
    otio.adapters.write_to_file(timeline, str(path))
    assert read_otio(path).segments[0].spans == [(48_007, 96_007)]


def test_clips_split_in_a_timeline_come_back_in_parts(tmp_path):
    rate = 48_000
    path = export(tmp_path, "otio", all_labels(rate))
    timeline = otio.adapters.read_from_file(str(path))
    main = timeline.audio_tracks()[0]
    # What is kept, and the loop's first playing, which then lies behind both parts of it.
    for number in (1, 3):
        left = list(main.find_clips())[number]
        place, right, span = main.index(left), left.deepcopy(), left.source_range
        length = RationalTime(10_000, rate)
        left.source_range = TimeRange(span.start_time, length)
        right.source_range = TimeRange(span.start_time + length, span.duration - length)
        main.insert(place + 1, right)
    otio.adapters.write_to_file(timeline, str(path))
    found, known = read_otio(path).segments, all_labels(rate).segments
    kept, looped = known[1:3]
    assert [(s.label, s.start, s.stop, s.repeats) for s in found[1:6]] == [
        ("KEEP", kept.start, kept.start + 10_000, 1),
        ("KEEP", kept.start + 10_000, kept.stop, 1),
        ("KEEP", looped.start, looped.start + 10_000, 1),
        ("KEEP", looped.start + 10_000, looped.stop, 1),
        ("LOOP", looped.start, looped.stop, 2),
    ]
    assert found[:1] == known[:1] and found[6:] == known[3:]


def items_of(project):
    return [item for track in project.findall("TRACK") for item in track.findall("ITEM")]


def put(item, key, place, value):
    item.find(key)[place] = f"{value:.9f}"


def test_what_reaper_changed_comes_back_as_it_plays_it(tmp_path):
    rate = 48_000
    kept = segment("KEEP", 10, 14, rate)
    fade = segment("FADE_OUT", 20, 24, rate, gain=((0, 1), (1, 0)))
    tone = segment("EFFECT", 30, 34, rate, tone=Tone(mid_db=2))
    path = export(tmp_path, "rpp", edit_at(rate, kept, fade, tone))
    project = rpp.loads(path.read_text())
    first, second, third = items_of(project)
    # A level and a fade of half a second at its begin; a fade that is shorter; half of it cut off.
    put(first, "VOLPAN", 3, 0.5)
    put(first, "FADEIN", 2, 0.5)
    put(second, "FADEOUT", 2, 1.0)
    put(third, "LENGTH", 1, 2.0)
    path.write_text(rpp.dumps(project))
    found = [(s.label, s.start, s.stop, s.gain, s.tone) for s in read_reaper(path).segments]
    half, second = rate // 2, rate
    assert found == [
        ("FADE_IN", kept.start, kept.start + half, ((0, 0), (1, 0.5)), None),
        ("EFFECT", kept.start + half, kept.stop, ((0, 0.5), (1, 0.5)), None),
        ("KEEP", fade.start, fade.stop - second, (), None),
        ("FADE_OUT", fade.stop - second, fade.stop, ((0, 1), (1, 0)), None),
        ("EFFECT", tone.start, tone.start + 2 * second, (), Tone(mid_db=2)),
    ]


def test_items_that_reaper_split_and_crossfaded_come_back(tmp_path):
    rate = 48_000
    kept = segment("KEEP", 10, 14, rate)
    path = export(tmp_path, "rpp", edit_at(rate, kept, segment("KEEP", 30, 31, rate)))
    project = rpp.loads(path.read_text())
    track = project.findall("TRACK")[0]
    [item, _] = track.findall("ITEM")
    right = rpp.loads(rpp.dumps(item))
    # As Reaper splits: a crossfade of 10 ms over the cut at 1 s; the right part keeps the join behind it.
    put(item, "LENGTH", 1, 1.005)
    put(item, "FADEOUT", 2, 0.01)
    length = float(right.find("LENGTH")[1])
    for key, value in (("POSITION", 0.995), ("LENGTH", length - 0.995), ("SOFFS", kept.start / rate + 0.995)):
        put(right, key, 1, value)
    put(right, "FADEIN", 2, 0.01)
    track.insert(list(track).index(item) + 1, right)
    path.write_text(rpp.dumps(project))
    cut = kept.start + rate
    spans = [(s.label, s.start, s.stop) for s in read_reaper(path).segments]
    assert spans == [
        ("KEEP", kept.start, cut),
        ("KEEP", cut, kept.stop),
        ("KEEP", *segment("KEEP", 30, 31, rate).spans[0]),
    ]


def test_a_stretched_item_and_half_a_transition_are_refused(tmp_path):
    path = export(tmp_path, "rpp", edit_at(48_000, segment("TRANSITION", 1, 2, 48_000, partner=400_000)))
    text = path.read_text()
    path.write_text(text.replace("LOOP 0", "LOOP 0\n      PLAYRATE 1.5 1 0", 1))
    with pytest.raises(FormatError, match="stretched"):
        read_reaper(path)
    path.write_text(text.replace("LENGTH 1.0", "LENGTH 0.5", 1))
    with pytest.raises(FormatError, match="two equally long sides of transition 0"):
        read_reaper(path)
    project = rpp.loads(text)
    for track in project.findall("TRACK")[:1]:
        track.remove(track.findall("ITEM")[0])
    path.write_text(rpp.dumps(project))
    with pytest.raises(FormatError, match="both sides of transition 0"):
        read_reaper(path)


def test_a_gain_curve_is_cut_with_its_clip(tmp_path):
    rate = 48_000
    ramp = Segment(label="EFFECT", start=0, stop=4 * rate, gain=((0, 1), (0.5, 2), (1, 0.5)))
    path = export(tmp_path, "fcpxml", edit_at(rate, ramp))
    path.write_text(path.read_text().replace('duration="4s" audioRole', 'duration="3s" audioRole'))
    [found] = format_of("fcpxml").read(path).segments
    assert (found.start, found.stop) == (0, 3 * rate)
    np.testing.assert_allclose(found.gain, [(0, 1), (2 / 3, 2), (1, 1.25)], rtol=1e-5)


def test_an_event_that_was_trimmed_keeps_the_end_that_was_not(tmp_path):
    rate = 44_100
    kept = segment("KEEP", 10, 14, rate)
    path = export(tmp_path, "edl", edit_at(rate, kept))
    text = path.read_text()
    assert "00:00:10:00 00:00:14:00 00:00:00:00 00:00:04:00" in text
    path.write_text(text.replace("00:00:14:00 00:00:00:00 00:00:04:00", "00:00:12:15 00:00:00:00 00:00:02:15"))
    assert format_of("edl").read(path).segments[0].spans == [(kept.start, round(12.5 * rate))]
