"""The labels table: one row for each track of the corpus, kept or dropped with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import atomic_path

LABEL_COLUMNS = [
    "track_id",
    "utt_id",
    "path",
    "genre",
    "source",
    "score_id",
    "confidence",
    "kept",
    "reason",
]


def open_table(tracks: pd.DataFrame) -> pd.DataFrame:
    """Return the tracks of a music corpus, sorted by utt_id, without a genre yet.

    Args:
        tracks: the corpus's tracks.parquet.

    Returns:
        ``LABEL_COLUMNS`` and, for the stage's own use, folder_genre, duration_s and group (what is drawn
        together: all renderings of a score, or one track).
    """
    table = tracks.sort_values("utt_id").reset_index(drop=True)
    group = table["score_id"].where(table["score_id"] != "", table["track_id"])
    table = table.assign(genre="", confidence=0.0, kept=True, reason="", group=group)
    return table[[*LABEL_COLUMNS, "folder_genre", "duration_s", "group"]]


def drop(table: pd.DataFrame, unwanted: np.ndarray | pd.Series, reason: str | pd.Series) -> pd.DataFrame:
    """Return the table with rows no longer kept; one already dropped keeps its first reason.

    Args:
        table: see `open_table`.
        unwanted: bool [n].
        reason: of all, or one for each row; what follows a colon is detail.
    """
    now = table["kept"] & unwanted
    reasons = reason if isinstance(reason, pd.Series) else pd.Series(reason, index=table.index)
    return table.assign(kept=table["kept"] & ~now, reason=table["reason"].mask(now, reasons))


def write_labels(path: str | Path, table: pd.DataFrame) -> None:
    """Write ``LABEL_COLUMNS`` as CSV."""
    with atomic_path(path) as temporary:
        table[LABEL_COLUMNS].to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


def read_labels(path: str | Path) -> pd.DataFrame:
    """Read what `write_labels` wrote; names stay text, also a genre called 1990.

    Raises:
        FormatError: another table.
    """
    types = dict.fromkeys(LABEL_COLUMNS, str) | {"confidence": float, "kept": bool}
    try:
        table = pd.read_csv(path, dtype=types, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise FormatError(path, expected="a table of labels", found=str(error)) from error
    if list(table) != LABEL_COLUMNS:
        raise FormatError(path, expected=f"columns {LABEL_COLUMNS}", found=str(list(table)))
    return table
