"""Rows of text files that other programs write: label tracks and lists of beats, however they are encoded."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from soundgate.runtime.errors import FormatError

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
# Without tabs and semicolons a comma is the decimal sign where blanks or the end of the line follow the number.
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+(\s|$)")
_SHOWN = 80
_MAX_S = 1e9


class Row(NamedTuple):
    """A line of a text file.

    Args:
        path: of the file.
        number: of the line, from 1.
        text: of the line.
        cells: its columns, without blanks around them.
    """

    path: str | Path
    number: int
    text: str
    cells: list[str]

    def error(self, expected: str) -> FormatError:
        """Return the error that says where something else was expected."""
        shown = self.text if len(self.text) <= _SHOWN else self.text[:_SHOWN] + "..."
        return FormatError(f"{self.path}, line {self.number}", expected=expected, found=repr(shown))

    def seconds(self, column: int) -> float:
        """Return a time, its decimal sign a point or a comma.

        Raises:
            FormatError: the column is missing or holds no number.
        """
        text = self.cells[column] if column < len(self.cells) else ""
        seconds = float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else np.inf
        if abs(seconds) > _MAX_S:
            raise self.error(f"a time in seconds in column {column + 1}")
        return seconds


class Region(NamedTuple):
    """A labelled span.

    Args:
        start_s: where it begins.
        stop_s: where it ends, later.
        name: its label.
        row: where it stands.
    """

    start_s: float
    stop_s: float
    name: str
    row: Row


def read_rows(path: str | Path) -> list[Row]:
    """Read the lines of a text file that hold something.

    UTF-8 and UTF-16, with or without a byte order mark, and any line ends; columns apart by tabs, semicolons, commas
    or blanks. Audacity's rows of frequencies, which begin with a backslash, comments (``#``) and a first row of
    column names (several, none of them with a digit) are left aside.

    Raises:
        FormatError: the file is unreadable, or a line is too long for a table's.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise FormatError(path, expected="a text file", found=str(error.strerror)) from error
    lines = enumerate(re.split(r"\r\n|\r|\n", _decoded(content)), 1)
    rows = [_row(path, number, line) for number, line in lines if line.strip()]
    rows = [row for row in rows if not row.text.lstrip().startswith(("\\", "#"))]
    return rows[1:] if rows and len(rows[0].cells) > 1 and not re.search(r"\d", rows[0].text) else rows


def is_timed(rows: list[Row]) -> bool:
    """Whether some row begins with a number."""
    return any(_NUMBER.fullmatch(row.cells[0]) for row in rows)


def regions_of(rows: list[Row]) -> list[Region]:
    """Return the rows of a label track (start s, end s, name); points, which have no length, are left aside.

    Raises:
        FormatError: a row has no times, or ends before it begins.
    """
    regions = []
    for row in rows:
        start_s, stop_s = row.seconds(0), row.seconds(1)
        if stop_s < start_s:
            raise row.error("an end behind the start")
        if stop_s > start_s:
            regions.append(Region(start_s, stop_s, " ".join(row.cells[2:]), row))
    return regions


def _decoded(content: bytes) -> str:
    """Decode a text; bytes that are none of its encoding become replacement characters, which are no numbers."""
    encoding = "utf-8"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif len(content) > 1 and b"\0" in content:
        encoding = "utf-16-be" if content[0] == 0 else "utf-16-le"
    return content.decode(encoding, errors="replace").removeprefix("\ufeff")


def _row(path: str | Path, number: int, line: str) -> Row:
    try:
        return Row(path, number, line, _cells(line))
    except csv.Error as error:
        raise Row(path, number, line, []).error(f"a line of text columns ({error})") from error


def _cells(line: str) -> list[str]:
    """Split a line at the separator that it shows to have."""
    if "\t" in line:
        cells = line.split("\t")
    elif ";" in line:
        cells = next(csv.reader([line], delimiter=";", skipinitialspace=True))
    elif "," in line and not _DECIMAL_COMMA.match(line):
        cells = next(csv.reader([line], skipinitialspace=True))
        if len(cells) > 4 and all(cell.isdecimal() for cell in cells[:4]):
            # start and end with decimal commas, between commas.
            cells = [f"{cells[0]},{cells[1]}", f"{cells[2]},{cells[3]}", *cells[4:]]
    elif _NUMBER.match(line.strip()):
        cells = line.split()
    else:
        cells = [line]
    return [cell.strip().strip('"') for cell in cells]
