"""Recordings that a table names by their hashes, found in folders and laid out as the table says."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from soundgate.corpora.walking import walk
from soundgate.runtime.console import track
from soundgate.runtime.errors import CorpusError, FormatError
from soundgate.runtime.files import sha256_of
from soundgate.runtime.paths import path_to_text

COLUMNS = ("path", "repository", "original", "artist", "licence", "note", "bytes", "sha256")


@dataclass
class Laid:
    """What was laid out.

    Attributes:
        linked: paths of the table that are there now.
        missing: rows of the table whose file is in none of the folders.
    """

    linked: list[str] = field(default_factory=list)
    missing: list[dict[str, str]] = field(default_factory=list)


def read_table(path: str | Path) -> list[dict[str, str]]:
    """Read a table of published recordings: CSV with the columns ``COLUMNS``, a row for each file.

    Raises:
        FormatError: the table lacks columns, or a row leads out of the folder, or has no size or hash.
    """
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows, found = list(reader), reader.fieldnames or []
    if set(COLUMNS) - set(found):
        raise FormatError(path, expected=f"columns {', '.join(COLUMNS)}", found=", ".join(found) or "an empty file")
    for number, row in enumerate(rows, start=2):
        inside = PurePosixPath(row["path"] or "/")
        if inside.is_absolute() or ".." in inside.parts:
            raise FormatError(f"{path}, line {number}", expected="a path inside the folder", found=str(inside))
        if not (row["bytes"] or "").isdecimal() or len(row["sha256"] or "") != 64:
            found_here = f"{row['bytes']}, {row['sha256']}"
            raise FormatError(f"{path}, line {number}", expected="a size in bytes and a SHA-256", found=found_here)
    return rows


def lay_out(rows: Sequence[dict[str, str]], folders: Sequence[str | Path], out: str | Path) -> Laid:
    """Link each file of a table, whatever its name in the folders, to the table's path below ``out``.

    Args:
        rows: see `read_table`.
        folders: searched to any depth; only files of a size in the table are read.
        out: gets links to the files; what is there already and is another file is not touched.

    Raises:
        CorpusError: a folder is not there, or a path below ``out`` is taken by another file.
    """
    sources = _found(rows, folders)
    laid = Laid()
    for row in rows:
        source, goal = sources.get(row["sha256"]), Path(out, row["path"])
        if goal.is_file() and sha256_of(goal) == row["sha256"]:
            laid.linked.append(row["path"])
        elif source is None:
            laid.missing.append(row)
        elif goal.exists() and not goal.is_symlink():
            remedy = "Move it away, or give another folder."
            raise CorpusError(path_to_text(goal), expected="no file, or the table's", found="another", remedy=remedy)
        else:
            goal.parent.mkdir(parents=True, exist_ok=True)
            goal.unlink(missing_ok=True)
            goal.symlink_to(source)
            laid.linked.append(row["path"])
    return laid


def _found(rows: Sequence[dict[str, str]], folders: Sequence[str | Path]) -> dict[str, Path]:
    """Return by hash where a file is; each file of a fitting size is read once."""
    sizes = defaultdict(set)
    for row in rows:
        sizes[int(row["bytes"])].add(row["sha256"])
    candidates = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise CorpusError(path_to_text(folder), expected="a folder", found="none of that name")
        candidates += [
            (folder / path).resolve()
            for path, status, _ in walk(folder)
            if status is not None and status.st_size in sizes
        ]
    found: dict[str, Path] = {}
    for path in track(candidates, "reading"):
        found.setdefault(sha256_of(path), path)
    return found
