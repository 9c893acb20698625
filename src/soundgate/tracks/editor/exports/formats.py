"""The formats that an edit list is exported to and read back from, by name and by a file's ending."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from soundgate.tracks.editor.edit_list import EditList


class Format(NamedTuple):
    """A format of edits.

    Args:
        ending: of its files, put behind the stem of the edit.
        write: of path, edit list and the raw recording's path.
        read: of a path; raises `FormatError`.
    """

    ending: str
    write: Callable[[Path, EditList, Path], None]
    read: Callable[[Path], EditList]


NAMES = ("otio", "rpp", "edl", "fcpxml", "audacity")
ENDINGS = {".otio": "otio", ".rpp": "rpp", ".edl": "edl", ".fcpxml": "fcpxml"}


def format_of(name: str) -> Format:
    """Return a format; its modules are imported when it is asked for.

    Args:
        name: one of ``NAMES``.
    """
    match name:
        case "otio":
            from soundgate.tracks.editor.exports.otio import read_otio, write_otio

            return Format(".otio", write_otio, read_otio)
        case "rpp":
            from soundgate.tracks.editor.exports.reaper import read_reaper, write_reaper

            return Format(".rpp", write_reaper, read_reaper)
        case "edl":
            from soundgate.tracks.editor.exports.edl import read_edl, write_edl

            return Format(".edl", write_edl, read_edl)
        case "fcpxml":
            from soundgate.tracks.editor.exports.fcpxml import read_fcpxml, write_fcpxml

            return Format(".fcpxml", write_fcpxml, read_fcpxml)
        case "audacity":
            from soundgate.tracks.editor.exports.audacity import read_audacity, write_audacity

            return Format(".labels.txt", lambda path, edit, _: write_audacity(path, edit), read_audacity)
    raise ValueError(name)


def check_exports(names: tuple[str, ...], source: Path) -> None:
    """Check that the formats that are asked for can name the recording.

    Raises:
        FormatError: one cannot.
    """
    if "rpp" in names:
        from soundgate.tracks.editor.exports.reaper import source_of

        source_of(source)


def write_exports(beside: Callable[[str], Path], edit: EditList, names: tuple[str, ...], source: Path) -> None:
    """Write an edit list for other programs, which play it from the recording.

    Args:
        beside: the path of a file of that ending.
        edit: the edit list.
        names: some of ``NAMES``.
        source: the recording.
    """
    for name in dict.fromkeys(names):
        ending, write, _ = format_of(name)
        write(beside(ending), edit, source)
