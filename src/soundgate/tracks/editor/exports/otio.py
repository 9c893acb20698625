"""OpenTimelineIO: the edit as a timeline that video and audio editors read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import write_text
from soundgate.tracks.editor.edit_list import EditList
from soundgate.tracks.editor.exports.clips import MAIN, PARTNERS, Clip, clips_of, edit_of, header_of
from soundgate.tracks.editor.exports.levels import Levels, levels_of, returned

_OURS = "soundgate"
_LEVELS = "audiolevels"
_FADE = otio.schema.TransitionTypes.SMPTE_Dissolve


def write_otio(path: str | Path, edit: EditList, media: Path) -> None:
    """Write an edit list as a timeline: a track of clips, and one of what transitions go to.

    A fade is a transition from or to a gap without length, a join one between its clips; a level is an effect
    ``audiolevels``. What is ours stands in the metadata as JSON text: the library's own JSON rounds the last digit of
    some numbers.

    Args:
        path: ends in ``.otio``.
        edit: an edit list.
        media: the raw recording.
    """
    rate = edit.sample_rate
    timeline = otio.schema.Timeline(MAIN, metadata={_OURS: json.dumps(header_of(edit))})
    tracks = {name: otio.schema.Track(name, kind=otio.schema.TrackKind.Audio) for name in (MAIN, PARTNERS)}
    reference = otio.schema.ExternalReference(media.absolute().as_uri(), _range(0, edit.n_samples, rate))
    end_of_partners = 0
    for clip in clips_of(edit):
        track = tracks[PARTNERS if clip.partner else MAIN]
        if clip.partner:
            track.append(otio.schema.Gap(source_range=_range(0, clip.position - end_of_partners, rate)))
            end_of_partners = clip.position + clip.length
        _append(track, clip, reference, rate)
    timeline.tracks.extend(tracks.values())
    write_text(path, timeline.to_json_string(indent=1) + "\n")


def read_otio(path: str | Path) -> EditList:
    """Read a timeline that `write_otio` wrote, its clips perhaps moved, trimmed, split or removed since.

    Times may count at any rate; those of the source count from where the media begins.

    Raises:
        FormatError: no timeline, a clip is none of ours, or the clips make no edit list.
    """
    try:
        timeline = otio.adapters.otio_json.read_from_file(str(path))
        header = json.loads(timeline.metadata[_OURS])
        clips = [clip for track in timeline.tracks for clip in _clips(track, int(header["sample_rate"]))]
    except (otio.exceptions.OTIOError, OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise FormatError(path, expected="a timeline of ours", found=f"{type(error).__name__}: {error}") from error
    return edit_of(clips, header, path)


def _append(track: otio.schema.Track, clip: Clip, reference: otio.schema.ExternalReference, rate: int) -> None:
    """Append a clip and what fades it."""
    levels = levels_of(clip)
    item = otio.schema.Clip(
        clip.label,
        media_reference=reference.deepcopy(),
        source_range=_range(clip.start, clip.stop, rate),
        metadata={_OURS: clip.note()},
    )
    gain = levels.curve or ((0.0, levels.volume), (1.0, levels.volume))
    if levels.curve or levels.volume != 1:
        item.effects.append(otio.schema.Effect("Audio Levels", _LEVELS, {_OURS: json.dumps({"gain": gain})}))
    if levels.fade_in:
        if not clip.partner:
            track.append(_nothing(rate))
        track.append(_transition("fade in", 0, levels.fade_in, rate))
    elif clip.joined and len(track) and isinstance(track[-1], otio.schema.Clip):
        track.append(_transition("join", clip.joined, clip.joined, rate))
    track.append(item)
    if levels.fade_out:
        track.extend([_transition("fade out", levels.fade_out, 0, rate), _nothing(rate)])


def _clips(track: otio.schema.Track, rate: int) -> Iterator[Clip]:
    """Yield what the clips of a track stand for."""
    items = [None, *track, None]
    for place, item in enumerate(items):
        if not isinstance(item, otio.schema.Clip):
            continue
        fade_in, fade_out = (
            _samples(items[near].in_offset + items[near].out_offset, rate)
            if isinstance(items[near], otio.schema.Transition) and not isinstance(items[far], otio.schema.Clip)
            else 0
            for near, far in ((place - 1, place - 2), (place + 1, place + 2))
        )
        own = [effect.metadata[_OURS] for effect in item.effects if effect.effect_name == _LEVELS]
        gain = json.loads(own[0])["gain"] if own else ()
        curve = tuple((float(position), float(level)) for position, level in gain)
        constant = len({level for _, level in curve}) <= 1
        levels = Levels(curve[0][1] if curve and constant else 1.0, fade_in, fade_out, () if constant else curve)
        span, known = item.source_range or item.available_range(), item.media_reference.available_range
        begin = span.start_time - known.start_time if known else span.start_time
        start, stop = _samples(begin, rate), _samples(begin + span.duration, rate)
        position = _samples(item.range_in_parent().start_time, rate)
        yield from returned(item.metadata[_OURS], track.name == PARTNERS, (start, stop), position, levels)


def _transition(name: str, before: int, after: int, rate: int) -> otio.schema.Transition:
    return otio.schema.Transition(name, _FADE, RationalTime(before, rate), RationalTime(after, rate))


def _nothing(rate: int) -> otio.schema.Gap:
    return otio.schema.Gap(source_range=_range(0, 0, rate))


def _range(start: int, stop: int, rate: int) -> TimeRange:
    return TimeRange(RationalTime(start, rate), RationalTime(stop - start, rate))


def _samples(time: RationalTime, rate: int) -> int:
    """Return a time of any rate in samples."""
    return round(Fraction(time.value) * rate / Fraction(time.rate))
