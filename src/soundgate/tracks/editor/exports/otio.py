"""OpenTimelineIO: the edit as a timeline that video and audio editors read."""

from __future__ import annotations

import json
from pathlib import Path

import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import write_text
from soundgate.tracks.editor.edit_list import EditList
from soundgate.tracks.editor.exports.clips import Clip, clips_of, edit_of, header_of

_OURS = "soundgate"
_MAIN, _PARTNERS = "edit", "transitions"


def write_otio(path: str | Path, edit: EditList, media: str) -> None:
    """Write an edit list as a timeline: a track of clips, and one of what transitions go to.

    What is ours stands in the metadata as JSON text: the library's own JSON rounds the last digit of some numbers.

    Args:
        path: ends in ``.otio``.
        edit: an edit list.
        media: URL or path of the raw recording, as the clips name it.
    """
    timeline = otio.schema.Timeline(_MAIN, metadata={_OURS: json.dumps(header_of(edit))})
    main = otio.schema.Track(_MAIN, kind=otio.schema.TrackKind.Audio)
    partners = otio.schema.Track(_PARTNERS, kind=otio.schema.TrackKind.Audio)
    available = _range(0, edit.n_samples, edit.sample_rate)
    end_of_partners = 0
    for clip in clips_of(edit):
        item = otio.schema.Clip(
            clip.label,
            media_reference=otio.schema.ExternalReference(media, available),
            source_range=_range(clip.start, clip.stop, edit.sample_rate),
            metadata={_OURS: {"number": clip.number, "shape": json.dumps(clip.shape)}},
        )
        if clip.partner:
            gap = _range(0, clip.position - end_of_partners, edit.sample_rate)
            partners.extend([otio.schema.Gap(source_range=gap), item])
            end_of_partners = clip.position + clip.stop - clip.start
        else:
            main.append(item)
    timeline.tracks.extend([main, partners])
    write_text(path, timeline.to_json_string(indent=1) + "\n")


def read_otio(path: str | Path) -> EditList:
    """Read a timeline that `write_otio` wrote, its clips perhaps moved, trimmed or removed since.

    Raises:
        FormatError: no timeline, a clip is none of ours, or the clips make no edit list.
    """
    try:
        timeline = otio.adapters.otio_json.read_from_file(str(path))
        header = json.loads(timeline.metadata[_OURS])
        clips = [
            _clip(item, track.name == _PARTNERS)
            for track in timeline.tracks
            for item in track
            if not isinstance(item, otio.schema.Gap)
        ]
    except (otio.exceptions.OTIOError, OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise FormatError(path, expected="a timeline of ours", found=f"{type(error).__name__}: {error}") from error
    return edit_of(clips, header, path)


def _range(start: int, stop: int, rate: int) -> TimeRange:
    return TimeRange(RationalTime(start, rate), RationalTime(stop - start, rate))


def _clip(item: otio.schema.Clip, partner: bool) -> Clip:
    own, span = item.metadata[_OURS], item.source_range
    position = int(item.range_in_parent().start_time.value)
    start, length = int(span.start_time.value), int(span.duration.value)
    return Clip(int(own["number"]), item.name, partner, start, start + length, position, json.loads(own["shape"]))
