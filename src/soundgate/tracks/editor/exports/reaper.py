"""Reaper projects: the edit as items on a track, its transitions as overlaps with a second one."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from soundgate.runtime.errors import FormatError
from soundgate.tracks.editor.edit_list import EditList
from soundgate.tracks.editor.exports.clips import MAIN, PARTNERS, Clip, clips_of, edit_of, header_of
from soundgate.tracks.editor.exports.levels import Levels, levels_of, returned, within_span
from soundgate.tracks.editor.exports.rpp import Node, quoted, read_project, write_project

_LINEAR, _EQUAL_POWER = 0, 1
_SOURCES = {".flac": "FLAC", ".mp3": "MP3", ".ogg": "VORBIS", ".oga": "VORBIS"}


@dataclass(frozen=True)
class _Item:
    """A clip as it lies on a track.

    Args:
        note: see `Clip.note`.
        partner: whether it lies on the second track.
        begin: first sample in the output.
        length: samples.
        offset: first sample in the raw recording.
        levels: how loud it is, with the fades of its joins.
    """

    note: str
    partner: bool
    begin: int
    length: int
    offset: int
    levels: Levels


def write_reaper(path: str | Path, edit: EditList, media: Path) -> None:
    """Write an edit list as a project that plays it; what Reaper has no item property for stands in the notes.

    Joins are overlaps with a crossfade. Fades and levels are the item's; a level of another shape is an envelope.

    Args:
        path: ends in ``.rpp``.
        edit: an edit list.
        media: the raw recording; items have its absolute path.

    Differs: a join of a clip that fades is a step, and one at the recording's ends is shorter; tones are notes alone.

    Raises:
        FormatError: the recording's path cannot be written in a project.
    """
    source = source_of(media)
    tracks = {name: Node("TRACK", [f"NAME {name}"]) for name in (MAIN, PARTNERS)}
    for item in _items(edit):
        tracks[PARTNERS if item.partner else MAIN].blocks.append(_node(item, edit.sample_rate, source))
    notes = Node("NOTES 0 2", ["|" + json.dumps(header_of(edit))])
    project = Node('REAPER_PROJECT 0.1 "7.0" 0', [f"SAMPLERATE {edit.sample_rate} 1 0"], [notes, *tracks.values()])
    write_project(path, project)


def source_of(media: Path) -> Node:
    """Return the block that names a recording.

    Raises:
        FormatError: its path cannot be written in a project.
    """
    try:
        return Node(f"SOURCE {_SOURCES.get(media.suffix.lower(), 'WAVE')}", [f"FILE {quoted(str(media.absolute()))}"])
    except ValueError as error:
        remedy = "Rename the recording, or export to another format."
        raise FormatError(media, expected="a name that Reaper reads", found=str(error), remedy=remedy) from error


def read_reaper(path: str | Path) -> EditList:
    """Read a project that `write_reaper` wrote, its items perhaps moved, trimmed, split, faded or removed since.

    Items that overlap on a track are parted in the middle.

    Raises:
        FormatError: no project, an item is none of ours or is stretched, or the items make no edit list.
    """
    try:
        project = read_project(path)
        header = json.loads(project.named("NOTES")[0].lines[0].removeprefix("|"))
        clips = [clip for track in project.named("TRACK") for clip in _clips(track, int(header["sample_rate"]))]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FormatError(path, expected="a project of ours", found=f"{type(error).__name__}: {error}") from error
    return edit_of(clips, header, path)


def _items(edit: EditList) -> list[_Item]:
    """Return the clips of an edit with the overlaps of their joins."""
    main = [clip for clip in clips_of(edit) if not clip.partner]
    others = [_item(clip, 0, 0) for clip in clips_of(edit) if clip.partner]
    joins = [0, *(_half(left, right, edit.n_samples) for left, right in pairwise(main)), 0]
    return [_item(clip, joins[n], joins[n + 1]) for n, clip in enumerate(main)] + others


def _half(left: Clip, right: Clip, n_samples: int) -> int:
    """Return by how much two clips reach over where they meet."""
    if levels_of(left).fade_out or levels_of(right).fade_in:
        return 0
    return max(min(right.joined, right.start, n_samples - left.stop), 0)


def _item(clip: Clip, before: int, after: int) -> _Item:
    levels = levels_of(clip)
    levels = levels._replace(fade_in=levels.fade_in or 2 * before, fade_out=levels.fade_out or 2 * after)
    length = before + clip.length + after
    return _Item(clip.note(), clip.partner, clip.position - before, length, clip.start - before, levels)


def _node(item: _Item, rate: int, source: Node) -> Node:
    levels, label = item.levels, json.loads(item.note)["label"]
    shapes = [_LINEAR if label.startswith("FADE") else _EQUAL_POWER] * 2
    lines = [
        f"POSITION {item.begin / rate:.9f}",
        f"LENGTH {item.length / rate:.9f}",
        "LOOP 0",
        f"FADEIN {shapes[0]} {levels.fade_in / rate:.9f} 0",
        f"FADEOUT {shapes[1]} {levels.fade_out / rate:.9f} 0",
        f"NAME {label}",
        f"VOLPAN 1 0 {levels.volume:.9f} -1",
        f"SOFFS {item.offset / rate:.9f}",
    ]
    blocks = [Node("NOTES", [f"|{item.note}"]), source]
    if levels.curve:
        points = [f"PT {position * item.length / rate:.9f} {level:.9f} 0" for position, level in levels.curve]
        blocks.append(Node("VOLENV", ["ACT 1 -1", "VIS 1 1 1", *points]))
    return Node("ITEM", lines, blocks)


def _clips(track: Node, rate: int) -> list[Clip]:
    """Return what the items of a track stand for."""
    partner = track.values("NAME") == [PARTNERS]
    items = sorted((_read(node, partner, rate) for node in track.named("ITEM")), key=lambda item: item.begin)
    for number in range(len(items) - 1):
        left, right = items[number : number + 2]
        overlap = left.begin + left.length - right.begin
        if overlap > 0:
            items[number : number + 2] = _parted(left, right, min(overlap, left.length, right.length))
    return [
        clip
        for item in items
        for clip in returned(item.note, partner, (item.offset, item.offset + item.length), item.begin, item.levels)
    ]


def _parted(left: _Item, right: _Item, overlap: int) -> tuple[_Item, _Item]:
    """Cut two items in the middle of their overlap, and their crossfade with it."""
    after, before = overlap // 2, overlap - overlap // 2
    own, other = left.levels, right.levels
    return (
        replace(left, length=left.length - after, levels=own._replace(fade_out=_beyond(own.fade_out, overlap))),
        replace(
            right, begin=right.begin + before, length=right.length - before, offset=right.offset + before,
            levels=other._replace(fade_in=_beyond(other.fade_in, overlap)),
        ),
    )  # fmt: skip


def _beyond(fade: int, overlap: int) -> int:
    """Return what is left of a fade that may be a crossfade's."""
    return 0 if fade <= overlap + 1 else fade - overlap // 2


def _read(node: Node, partner: bool, rate: int) -> _Item:
    begin, length, offset = (round(node.numbers(key)[0] * rate) for key in ("POSITION", "LENGTH", "SOFFS"))
    if node.numbers("PLAYRATE")[:1] not in ([], [1.0]):
        raise ValueError(f"an item that is stretched: PLAYRATE {node.numbers('PLAYRATE')[0]:g}")
    # The length of a fade, and that of an automatic crossfade.
    fade_in, fade_out = (round(max(node.numbers(key)[1:3], default=0) * rate) for key in ("FADEIN", "FADEOUT"))
    trim, _, volume, *_ = node.numbers("VOLPAN") or (1, 0, 1)
    points = [line.split()[1:3] for envelope in node.named("VOLENV") for line in envelope.lines if line[:3] == "PT "]
    curve = within_span([(float(time) * rate / length, float(level)) for time, level in points])
    levels = Levels(trim * volume, fade_in, fade_out, curve)
    return _Item(node.named("NOTES")[0].lines[0].removeprefix("|"), partner, begin, length, offset, levels)
