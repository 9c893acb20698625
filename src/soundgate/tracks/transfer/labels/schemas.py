"""Labels that are looked up: the corpus's folders, a table of the user's, two buckets."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from soundgate.runtime.console import logger
from soundgate.runtime.errors import CorpusError, FormatError
from soundgate.runtime.paths import path_from_text
from soundgate.tracks.transfer.labels.settings import BinarySettings, CsvSettings
from soundgate.tracks.transfer.labels.table import drop

KEYS = ("track_id", "utt_id", "path")
NO_GENRE = "no genre"
NOT_IN_CSV = "not in the csv"
UNMAPPED = "unmapped"


def from_folder(table: pd.DataFrame) -> pd.DataFrame:
    """Take the genre that the corpus's folders say."""
    return drop(_named(table, table["folder_genre"]), table["folder_genre"] == "", NO_GENRE)


def from_csv(table: pd.DataFrame, settings: CsvSettings) -> tuple[pd.DataFrame, list[str]]:
    """Take genre, and source where given, from a table of the user's.

    Args:
        table: see `soundgate.tracks.transfer.labels.table.open_table`.
        settings: see `CsvSettings`.

    Returns:
        The table, and the keys of the CSV's rows that are no track of the corpus.

    Raises:
        FormatError: the CSV is missing, unreadable, or without a key or genre, or names a track twice.
    """
    assert settings.path is not None
    given = _read_csv(settings.path)
    key = next(name for name in KEYS if name in given)
    own, theirs = table[key], given[key]
    if key == "path":
        own, theirs = own.map(path_from_text).map(os.path.abspath), theirs.map(os.path.abspath)
    unmatched = given.loc[~theirs.isin(own), key].tolist()
    if unmatched:
        logger.warning("%s: %d rows are no track of the corpus: %s", settings.path, len(unmatched), unmatched)
    if theirs.duplicated().any():
        repeated = sorted(given.loc[theirs.duplicated(), key])
        raise FormatError(settings.path, expected="each track once", found=f"again: {', '.join(repeated)}")
    given = given.set_index(theirs)
    genre = own.map(given["genre"]).fillna("")
    if "source" in given:
        source = own.map(given["source"]).fillna("")
        table = table.assign(source=source.where(source != "", table["source"]))
    table = drop(_named(table, genre), ~own.isin(given.index), NOT_IN_CSV)
    return drop(table, genre == "", NO_GENRE), unmatched


def _read_csv(path: str) -> pd.DataFrame:
    expected = f"a CSV with the column genre and one of {', '.join(KEYS)}"
    try:
        given = pd.read_csv(Path(path), dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise FormatError(path, expected=expected, found=str(error)) from error
    if "genre" not in given or not set(KEYS) & set(given):
        raise FormatError(path, expected=expected, found=f"the columns {', '.join(given)}")
    return given.apply(lambda column: column.str.strip())


def binary_acoustic_beats(table: pd.DataFrame, settings: BinarySettings) -> tuple[pd.DataFrame, list[str]]:
    """Put the corpus's genres, or its sources, into the buckets ``acoustic`` and ``beats``.

    Args:
        table: see `soundgate.tracks.transfer.labels.table.open_table`.
        settings: see `BinarySettings`.

    Returns:
        The table, and names in the mapping that the corpus does not have.

    Raises:
        CorpusError: the mapping names nothing that the corpus has.
    """
    column = table["folder_genre" if settings.by == "genre" else "source"]
    buckets = dict.fromkeys(settings.acoustic, "acoustic") | dict.fromkeys(settings.beats, "beats")
    unknown = sorted(set(buckets) - set(column))
    if len(unknown) == len(buckets):
        found = f"none of {', '.join(unknown) or 'an empty mapping'}; the corpus has {', '.join(sorted(set(column)))}"
        raise CorpusError("transfer.labels.binary", expected=f"names of the corpus's {settings.by}s", found=found)
    if unknown:
        logger.warning("transfer.labels.binary: the corpus has no %s %s", settings.by, ", ".join(unknown))
    genre = column.map(buckets).fillna("")
    return drop(_named(table, genre), genre == "", f"{UNMAPPED}: " + column), unknown


def _named(table: pd.DataFrame, genre: pd.Series) -> pd.DataFrame:
    """Return the table with these genres, which are certain where there is one."""
    return table.assign(genre=genre, confidence=(genre != "").astype(float))
