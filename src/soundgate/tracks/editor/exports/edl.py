"""CMX 3600 edit decision lists: the edit as numbered events with timecodes, 30 frames a second, non-drop."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import write_text
from soundgate.runtime.paths import printable
from soundgate.tracks.editor.edit_list import EditList
from soundgate.tracks.editor.exports.clips import Clip, clips_of, edit_of, header_of
from soundgate.tracks.editor.exports.levels import levels_of, returned

FRAMES_A_SECOND = 30
_OURS = "SOUNDGATE"
_MAIN, _PARTNERS = "A", "A2"
_EVENT = re.compile(r"(\d+)\s+(\S+)\s+(\S+)\s+C\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)")
_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)[:;](\d\d)")
_SILENT_DB = -96.0


def write_edl(path: str | Path, edit: EditList, media: Path) -> None:
    """Write an edit list as cuts: audio track A, and A2 for what transitions go to.

    Levels and fades are ``AUDIO LEVEL`` comments. Timecodes are to the nearest frame; a comment of ours holds samples.

    Args:
        path: ends in ``.edl``.
        edit: an edit list.
        media: the raw recording.

    Source: CMX 3600; the comments as Avid and Premiere write them.
    """
    name, url = printable(media.name), media.absolute().as_uri()
    lines = [f"TITLE: {_OURS} {json.dumps(header_of(edit))}", "FCM: NON-DROP FRAME", ""]
    for number, clip in enumerate(clips_of(edit), 1):
        source, record = _frames(clip, edit.sample_rate)
        channel, times = _PARTNERS if clip.partner else _MAIN, " ".join(map(_timecode, (*source, *record)))
        lines.append(f"{number:03d}  AX       {channel:5} C        {times}")
        lines += [f"* FROM CLIP NAME:  {name}", f"* FROM CLIP: {url}"]
        lines += [
            f"* AUDIO LEVEL AT {_timecode(frame)} IS {level:.2f} DB  (REEL AX A1)"
            for frame, level in _level_points(clip, source)
        ]
        lines += [f"* {_OURS} {json.dumps({'frames': source, 'note': clip.note()})}", ""]
    write_text(path, "\n".join(lines))


def read_edl(path: str | Path) -> EditList:
    """Read a list that `write_edl` wrote, its events perhaps moved, trimmed, split or removed since.

    A timecode that was not changed stands for the very sample that it was written for. Levels are taken from the
    comment of ours.

    Raises:
        FormatError: no such list, an event is none of ours, or the events make no edit list.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        titles = [line.removeprefix(f"TITLE: {_OURS} ") for line in lines if line.startswith(f"TITLE: {_OURS} ")]
        header = json.loads(titles[0])
        clips = [clip for event in _events(lines) for clip in _clips(event, int(header["sample_rate"]))]
    except (OSError, ValueError, LookupError, TypeError) as error:
        found = f"{type(error).__name__}: {error}"
        raise FormatError(path, expected="an edit decision list of ours", found=found) from error
    return edit_of(clips, header, path)


def _frames(clip: Clip, rate: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return a clip's source and record frames; the record's follow on from each other, the source's are as many."""
    begin, end = (round(place * FRAMES_A_SECOND / rate) for place in (clip.position, clip.position + clip.length))
    first = round(clip.start * FRAMES_A_SECOND / rate)
    return (first, first + end - begin), (begin, end)


def _level_points(clip: Clip, source: tuple[int, int]) -> Iterator[tuple[int, float]]:
    """Yield source frames and levels in dB, of clips that are not played as they are."""
    levels = levels_of(clip)
    points = levels.curve or ((0.0, levels.volume),)
    if levels.fade_in:
        points = ((0.0, 0.0), (1.0, levels.volume))
    elif levels.fade_out:
        points = ((0.0, levels.volume), (1.0, 0.0))
    if [gain for _, gain in points] != [1.0]:
        for position, gain in points:
            level_db = 20 * np.log10(gain) if gain > 0 else _SILENT_DB
            yield round(source[0] + position * (source[1] - source[0])), max(level_db, _SILENT_DB)


def _events(lines: list[str]) -> Iterator[tuple[re.Match[str], str]]:
    """Yield events with the comment of ours that follows them.

    Raises:
        ValueError: an event has none.
    """
    starts = [number for number, line in enumerate(lines) if re.match(r"\d", line)]
    for start, stop in pairwise([*starts, len(lines)]):
        event = _EVENT.fullmatch(lines[start].strip())
        own = [line.split(f"{_OURS} ", 1)[1] for line in lines[start:stop] if line.startswith(f"* {_OURS} ")]
        if event is None or not own:
            raise ValueError(f"line {start + 1}: {lines[start][:80]!r} is no cut of ours")
        yield event, own[0]


def _clips(event: tuple[re.Match[str], str], rate: int) -> list[Clip]:
    """Return what an event stands for."""
    match, comment = event
    own, (first, last, begin, _) = json.loads(comment), map(_frame, match.groups()[3:])
    was = json.loads(own["note"])
    start, stop = (
        int(was[key]) if frame == written else round(frame * rate / FRAMES_A_SECOND)
        for key, frame, written in zip(("start", "stop"), (first, last), own["frames"], strict=True)
    )
    return returned(own["note"], match[3] == _PARTNERS, (start, stop), begin, None)


def _timecode(frame: int) -> str:
    seconds, frames = divmod(frame, FRAMES_A_SECOND)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frames:02d}"


def _frame(timecode: str) -> int:
    match = _TIMECODE.fullmatch(timecode)
    if match is None:
        raise ValueError(f"{timecode!r} is no timecode")
    hours, minutes, seconds, frames = map(int, match.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * FRAMES_A_SECOND + frames
