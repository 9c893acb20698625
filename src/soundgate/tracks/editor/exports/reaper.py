"""Reaper projects: the edit as items on a track, its transitions as overlaps with a second one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import write_text
from soundgate.tracks.editor.edit_list import EditList
from soundgate.tracks.editor.exports.clips import Clip, clips_of, edit_of, header_of

_MAIN, _PARTNERS = "edit", "transitions"
_LINEAR, _EQUAL_POWER = 0, 1


@dataclass
class _Node:
    """A block ``<NAME ...`` to ``>`` with its lines and blocks."""

    head: str
    lines: list[str] = field(default_factory=list)
    blocks: list[_Node] = field(default_factory=list)

    def value(self, key: str) -> str:
        """Return what stands after a key."""
        return next(line[len(key) + 1 :] for line in self.lines if line.startswith(f"{key} "))

    def named(self, name: str) -> list[_Node]:
        """Return the blocks of a name."""
        return [block for block in self.blocks if block.head.split()[0] == name]

    def text(self, indent: int = 0) -> str:
        """Return the block as the project file has it."""
        space = "  " * indent
        own = "".join(f"{space}  {line}\n" for line in self.lines)
        return f"{space}<{self.head}\n{own}" + "".join(b.text(indent + 1) for b in self.blocks) + f"{space}>\n"


def write_reaper(path: str | Path, edit: EditList, media: str) -> None:
    """Write an edit list as a project that plays it; what Reaper has no item property for stands in the notes.

    Args:
        path: ends in ``.rpp``.
        edit: an edit list.
        media: path of the raw recording, as the items name it.

    Differs: joins are left to Reaper's own automatic crossfades; tones are notes alone.
    """
    tracks = {name: _Node("TRACK", [f"NAME {name}"]) for name in (_MAIN, _PARTNERS)}
    for clip in clips_of(edit):
        tracks[_PARTNERS if clip.partner else _MAIN].blocks.append(_item(clip, edit.sample_rate, media))
    notes = _Node("NOTES 0 2", ["|" + json.dumps(header_of(edit))])
    project = _Node('REAPER_PROJECT 0.1 "7.0" 0', [f"SAMPLERATE {edit.sample_rate} 1 0"], [notes, *tracks.values()])
    write_text(path, project.text())


def read_reaper(path: str | Path) -> EditList:
    """Read a project that `write_reaper` wrote, its items perhaps moved, trimmed or removed since.

    Raises:
        FormatError: no project, an item is none of ours, or the items make no edit list.
    """
    try:
        project = _parse(Path(path).read_text(encoding="utf-8"))
        header = json.loads(project.named("NOTES")[0].lines[0].removeprefix("|"))
        clips = [
            _clip(item, track.value("NAME") == _PARTNERS, header["sample_rate"])
            for track in project.named("TRACK")
            for item in track.named("ITEM")
        ]
    except (OSError, ValueError, LookupError, StopIteration, TypeError) as error:
        raise FormatError(path, expected="a project of ours", found=f"{type(error).__name__}: {error}") from error
    return edit_of(clips, header, path)


def _item(clip: Clip, rate: int, media: str) -> _Node:
    length_s = (clip.stop - clip.start) / rate
    fade_in, fade_out, volume = (_LINEAR, 0.0), (_LINEAR, 0.0), 1.0
    if clip.label == "FADE_IN":
        fade_in = (_LINEAR, length_s)
    elif clip.label == "FADE_OUT":
        fade_out = (_LINEAR, length_s)
    elif clip.label == "TRANSITION" and clip.partner:
        fade_in = (_EQUAL_POWER, length_s)
    elif clip.label == "TRANSITION":
        fade_out = (_EQUAL_POWER, length_s)
    elif "gain" in clip.shape:
        volume = clip.shape["gain"][0][1]
    lines = [
        f"POSITION {clip.position / rate:.9f}",
        f"LENGTH {length_s:.9f}",
        "LOOP 0",
        f"FADEIN {fade_in[0]} {fade_in[1]:.9f} 0",
        f"FADEOUT {fade_out[0]} {fade_out[1]:.9f} 0",
        f"NAME {clip.label}",
        f"VOLPAN 1 0 {volume:.9f} -1",
        f"SOFFS {clip.start / rate:.9f}",
    ]
    notes = _Node("NOTES", ["|" + json.dumps({"number": clip.number, "shape": clip.shape})])
    return _Node("ITEM", lines, [notes, _Node("SOURCE WAVE", [f"FILE {json.dumps(media, ensure_ascii=False)}"])])


def _clip(item: _Node, partner: bool, rate: int) -> Clip:
    own = json.loads(item.named("NOTES")[0].lines[0].removeprefix("|"))
    position, length, start = (round(float(item.value(key)) * rate) for key in ("POSITION", "LENGTH", "SOFFS"))
    return Clip(own["number"], item.value("NAME"), partner, start, start + length, position, own["shape"])


def _parse(text: str) -> _Node:
    """Return the one block of a project file."""
    root = _Node("")
    open_blocks = [root]
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("<"):
            block = _Node(line[1:])
            open_blocks[-1].blocks.append(block)
            open_blocks.append(block)
        elif line == ">":
            open_blocks.pop()
        elif line:
            open_blocks[-1].lines.append(line)
    if len(open_blocks) != 1 or len(root.blocks) != 1:
        raise ValueError("blocks that do not close, or not one project")
    return root.blocks[0]
