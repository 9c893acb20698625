"""The clips a CSV names: which of its rows can be used, and in what order a session goes through them."""

from __future__ import annotations

import csv
import hashlib
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from soundgate.runtime.errors import ConfigError, FormatError
from soundgate.runtime.randomness import keyed_seed

ID_COLUMN = "clip_id"
REFERENCES = {"source_wav": "source", "true_wav": "target", "exemplar_wav": "exemplar"}


@dataclass(frozen=True)
class Clip:
    """One row of the CSV.

    Attributes:
        clip_id: the row's ``clip_id`` where the CSV has such a column of distinct values, else 12 hexadecimal
            digits of the path's SHA-256.
        path: as it stands in the CSV, relative to the base folder.
        row: number of the row in the CSV, from 0.
        problem: why the row cannot be used; empty where it can.
    """

    clip_id: str
    path: str
    row: int
    problem: str = ""


@dataclass(frozen=True)
class Listing:
    """A CSV of clips.

    Attributes:
        base: the base folder, links resolved; no file outside it is ever read.
        header: the CSV's columns.
        rows: its cells, by row.
        clips: one for each row.
    """

    base: Path
    header: list[str]
    rows: list[list[str]]
    clips: list[Clip]

    @property
    def unusable(self) -> list[Clip]:
        """The rows nobody will listen to, in the order of the CSV."""
        return [clip for clip in self.clips if clip.problem]

    def facts(self, clip: Clip) -> dict[str, str]:
        """Return what the CSV says of a clip, by column; without its path and empty cells."""
        cells = zip(self.header, self.rows[clip.row], strict=False)
        return {name: cell for name, cell in cells if cell and cell != clip.path}

    def references(self, clip: Clip) -> dict[str, str]:
        """Return the paths to compare a clip with, by what they are (``REFERENCES``): source, target, exemplar."""
        facts = self.facts(clip)
        return {name: facts[column] for column, name in REFERENCES.items() if column in facts}


def read_listing(table: Path, path_column: str, base_dir: Path) -> Listing:
    """Read a CSV of clips.

    Args:
        table: with a header; UTF-8, comma-separated.
        path_column: holds the audio files' paths, relative to ``base_dir``.
        base_dir: the folder the files lie in.

    Returns:
        All rows. One is unusable where its path is empty, has control characters, leads out of the base folder
        (by ``..``, as an absolute path or through a link) or to the file of an earlier row. A file that is
        missing or broken is found out when its turn comes.

    Raises:
        FormatError: the CSV is empty, not UTF-8 or no CSV.
        ConfigError: it has no such column, or no usable row; the base folder is none.
    """
    header, rows = _read_csv(table)
    if path_column not in header:
        raise ConfigError("--path-col", expected=f"a column of {table} ({', '.join(header)})", found=repr(path_column))
    if not base_dir.is_dir():
        raise ConfigError("--base-dir", expected="a folder", found=str(base_dir))
    base = base_dir.resolve()
    clips = _clips(header, rows, header.index(path_column), base)
    if all(clip.problem for clip in clips):
        found = f"{clips[0].path!r}: {clips[0].problem}" if clips else "no row"
        raise ConfigError(table, expected=f"a usable path in column {path_column!r}", found=found)
    return Listing(base, header, rows, clips)


def file_inside(base: Path, path: str) -> Path | None:
    """Return the real path of a row's file, or None where that lies outside the base folder.

    Args:
        base: without links.
        path: as in the CSV; need not exist.
    """
    real = Path(os.path.realpath(base / path))
    return real if real.is_relative_to(base) and real != base else None


def session_order(clips: list[Clip], session: str, seed: int = 0) -> list[Clip]:
    """Return the usable clips in the session's own random order.

    A clip's place depends on the seed, the session's name and its path, so rows added to the CSV leave the others'
    order.
    """
    usable = [clip for clip in clips if not clip.problem]
    return sorted(usable, key=lambda clip: (keyed_seed(seed, f"transfer-triage {session}", clip.path), clip.path))


def has_control(text: str) -> bool:
    """Say whether a text holds control characters, which break lines and drive terminals."""
    return any(unicodedata.category(character) == "Cc" for character in text)


def _read_csv(table: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with open(table, encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(table, expected="a CSV in UTF-8", found=str(error)) from error
    if not rows:
        raise FormatError(table, expected="a CSV with a header", found="an empty file")
    return rows[0], rows[1:]


def _clips(header: list[str], rows: list[list[str]], column: int, base: Path) -> list[Clip]:
    ids = _own_ids(header, rows)
    clips: list[Clip] = []
    first_with: dict[Path, int] = {}
    for number, cells in enumerate(rows):
        path = cells[column] if column < len(cells) else ""
        problem, file = _problem(cells, len(header), path, base)
        if file is not None and file in first_with:
            problem = f"the file of row {first_with[file] + 1} again"
        elif file is not None:
            first_with[file] = number
        clip_id = ids[number] if ids else hashlib.sha256(path.encode()).hexdigest()[:12]
        clips.append(Clip(clip_id, path, number, problem))
    return clips


def _own_ids(header: list[str], rows: list[list[str]]) -> list[str]:
    """Return the CSV's own clip ids, or nothing where they would not do as names."""
    if ID_COLUMN not in header:
        return []
    column = header.index(ID_COLUMN)
    ids = [cells[column] for cells in rows if column < len(cells)]
    fit = len(ids) == len(rows) == len(set(ids)) and all(text and not has_control(text) for text in ids)
    return ids if fit else []


def _problem(cells: list[str], n_columns: int, path: str, base: Path) -> tuple[str, Path | None]:
    """Return why a row cannot be used, or its file."""
    if len(cells) != n_columns:
        return f"{len(cells)} cells in a table of {n_columns} columns", None
    if not path.strip():
        return "no path", None
    if has_control(path):
        return "control characters in the path", None
    file = file_inside(base, path)
    return ("outside the base folder", None) if file is None else ("", file)
