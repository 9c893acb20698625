"""Label tracks of Audacity: the segments as regions on the raw recording."""

from __future__ import annotations

import json
import re
from pathlib import Path

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import write_text
from soundgate.tracks.editor.edit_list import EditList
from soundgate.tracks.editor.exports.clips import Clip, clips_of, edit_of, header_of
from soundgate.tracks.editor.text_rows import Region, read_rows, regions_of

_REGION = re.compile(
    r"(?P<number>\d{1,9}) (?P<label>[A-Z_]+)(?: x(?P<repeats>\d{1,5}))?(?P<partner> to)?(?: (?P<shape>\{.*\}))?"
)
_WHOLE = "edit"
# Nine decimals tell the samples of any sample rate apart.
_LINE = "{:.9f}\t{:.9f}\t{}\n"


def write_audacity(path: str | Path, edit: EditList) -> None:
    """Write an edit list as a label track: ``start s, end s, "<number> <label> [x<repeats>] [to] [shape]"``.

    A first region over the whole recording holds its rate; the regions are numbered in the order of playing.
    """
    rate = edit.sample_rate
    lines = [_LINE.format(0, edit.n_samples / rate, f"{_WHOLE} {json.dumps(header_of(edit))}")]
    written = set()
    for clip in clips_of(edit):
        if (clip.number, clip.partner) in written:
            continue
        written.add((clip.number, clip.partner))
        repeats = edit.segments[clip.number].repeats
        text = f"{clip.number} {clip.label}" + (f" x{repeats}" if repeats > 1 else "") + (" to" if clip.partner else "")
        lines.append(_LINE.format(clip.start / rate, clip.stop / rate, text + _shape(clip)))
    write_text(path, "".join(lines))


def read_audacity(path: str | Path) -> EditList:
    """Read a label track that `write_audacity` wrote, its regions perhaps moved, removed or renamed since.

    Raises:
        FormatError: a line is none of ours, the first region is missing, or the regions make no edit list.
    """
    regions = regions_of(read_rows(path))
    headers = [region for region in regions if region.name.startswith(f"{_WHOLE} ")]
    if len(headers) != 1:
        raise FormatError(path, expected=f"one region {_WHOLE!r} with the rate", found=str(len(headers)))
    clips = []
    try:
        header = json.loads(headers[0].name.removeprefix(f"{_WHOLE} "))
        for region in (region for region in regions if region is not headers[0]):
            clips += _clips(region, header["sample_rate"])
    except (ValueError, OverflowError, KeyError, TypeError) as error:
        raise FormatError(path, expected="regions of an edit list", found=f"{type(error).__name__}: {error}") from error
    return edit_of(clips, header, path)


def _shape(clip: Clip) -> str:
    return f" {json.dumps(clip.shape)}" if clip.shape else ""


def _clips(region: Region, rate: int) -> list[Clip]:
    """Return a region's clips, one for each repeat; their positions are the numbers, which give the order."""
    match = _REGION.fullmatch(region.name)
    if match is None:
        raise region.row.error("start, end, '<number> <label> ...'")
    start, stop = round(region.start_s * rate), round(region.stop_s * rate)
    shape = json.loads(match["shape"]) if match["shape"] else {}
    number = int(match["number"])
    clip = Clip(number, match["label"], bool(match["partner"]), start, stop, number, shape)
    return [clip] * int(match["repeats"] or 1)
