"""The page of a sample pack: every clip's players, picture and scores, filtered, searched and sorted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, StrictUndefined

from soundgate.errors import FormatError
from soundgate.files import write_text
from soundgate.tracks.transfer.samples.page_template import TEMPLATE

PAGE = "index.html"
PLAYERS = {
    "source_wav": "Source",
    "fake_wav": "Transferred",
    "reconstruction_wav": "Reconstruction",
    "true_wav": "True target",
}
PICTURE = "picture"
IDENTITY = ("clip_id", "path_kind", "source_genre", "target_genre")


def write_page(folder: str | Path, rows: pd.DataFrame, title: str, facts: Mapping[str, object]) -> None:
    """Write ``index.html`` of a sample pack.

    The page needs nothing but the files beside it: it opens from disk and from any server.

    Args:
        folder: where the pack lies.
        rows: one for each clip: ``clip_id``, ``path_kind``, ``source_genre``, ``target_genre``; files relative
            to the folder in ``source_wav``, ``fake_wav``, ``reconstruction_wav``, ``true_wav`` and ``picture``
            (empty where there is none); every other numeric column is a score, shown in the order given.
        title: the page's heading.
        facts: what the reader should know of the pack, by name.

    Raises:
        FormatError: a column is missing, clip ids repeat, or a file named is not in the folder.
    """
    folder = Path(folder)
    missing = [column for column in (*IDENTITY, *PLAYERS, PICTURE) if column not in rows]
    if missing:
        raise FormatError(folder / PAGE, expected="a column for each part of the page", found=f"without {missing}")
    if rows["clip_id"].duplicated().any():
        raise FormatError(folder / PAGE, expected="distinct clip_id", found="repeats")
    scores = [column for column in rows.select_dtypes("number") if column not in (*IDENTITY, *PLAYERS, PICTURE)]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(TEMPLATE).render(
        title=title,
        facts={str(name): _text(value) for name, value in facts.items()},
        clips=[_clip(folder, row, scores) for row in rows.to_dict("records")],
        scores=scores,
        filters={
            "path_kind": ("Path", _choices(rows["path_kind"])),
            "source_genre": ("From", _choices(rows["source_genre"])),
            "target_genre": ("To", _choices(rows["target_genre"])),
        },
    )
    write_text(folder / PAGE, page)


def _clip(folder: Path, row: dict, scores: list[str]) -> dict:
    """Return what the template shows of one row."""
    files = {label: _link(folder, row[column]) for column, label in PLAYERS.items() if _named(row[column])}
    return {
        **{name: str(row[name]) for name in IDENTITY},
        "players": files,
        "picture": _link(folder, row[PICTURE]) if _named(row[PICTURE]) else "",
        "scores": {name: _text(row[name]) for name in scores},
        # Of the sort in the page: JSON knows no NaN.
        "values": json.dumps({name: _finite(row[name]) for name in scores}),
    }


def _named(cell: object) -> bool:
    return isinstance(cell, str) and cell != ""


def _link(folder: Path, name: str) -> str:
    """Return a file's relative URL.

    Raises:
        FormatError: it is not in the folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not (folder / path).is_file():
        raise FormatError(folder / PAGE, expected="files of the pack's own folder", found=repr(name))
    return quote(path.as_posix())


def _choices(column: pd.Series) -> list[str]:
    return sorted(column.astype(str).unique())


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _text(value: object) -> str:
    """Return a value as the page shows it: numbers to four digits, what is no number as a dash."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:.4g}" if math.isfinite(value) else "–"
