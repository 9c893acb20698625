"""The table of labels: one row for each pair."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from soundgate.runtime.errors import FormatError

LABELS_NAME = "labels.parquet"
COLUMNS = ["pair_id", "split", "origin", "starts", "labels"]


def read_labels(folder: str | Path) -> pd.DataFrame:
    """Read the table of labels.

    Args:
        folder: that stage ``editor-labels`` wrote.

    Returns:
        ``pair_id``, ``split``, ``origin`` (``truth`` or ``recovered``), and lists: ``starts`` of the spans, in samples
        of the raw recording, and their ``labels``.

    Raises:
        FormatError: it is missing, unreadable, or lacks a column.
    """
    path = Path(folder) / LABELS_NAME
    try:
        return pd.read_parquet(path, columns=COLUMNS)
    except (OSError, ValueError) as error:
        raise FormatError(path, expected="a table of labels", found=str(error)) from error
