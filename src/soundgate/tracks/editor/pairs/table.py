"""The table of pairs: audio, truth and split of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import atomic_path
from soundgate.tracks.editor.edit_list import EditList

PAIRS_NAME = "pairs.parquet"
AUDIO_FOLDER = "audio"
RAW, EDIT = "raw", "edit"
# `edit_list` and `beats` are empty where the truth is not known; files are named as the seed names them.
COLUMN_TYPES = {
    "pair_id": "str",
    "group": "str",
    "split": "str",
    "raw_path": "str",
    "edit_path": "str",
    "sample_rate": "int64",
    "raw_samples": "int64",
    "edit_samples": "int64",
    "reordered": "bool",
    "edit_list": "str",
}


def write_pairs(folder: Path, rows: list[dict]) -> pd.DataFrame:
    """Write ``pairs.parquet``.

    Args:
        folder: of the pairs.
        rows: the columns of ``COLUMN_TYPES``, and ``beats``: int64 samples of the raw recording.

    Returns:
        The table, sorted by ``pair_id``.
    """
    table = pd.DataFrame(rows).astype(COLUMN_TYPES).sort_values("pair_id", ignore_index=True)
    with atomic_path(folder / PAIRS_NAME) as temporary:
        table[[*COLUMN_TYPES, "beats"]].to_parquet(temporary, index=False, compression="zstd")
    return table


def read_pairs(folder: str | Path) -> pd.DataFrame:
    """Read the table of pairs, with the audio's paths joined to the folder.

    Raises:
        FormatError: it is missing, unreadable, or lacks a column.
    """
    path = Path(folder) / PAIRS_NAME
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise FormatError(path, expected="a table of pairs", found=str(error)) from error
    missing = [column for column in [*COLUMN_TYPES, "beats"] if column not in table]
    if missing:
        raise FormatError(path, expected=f"columns {list(COLUMN_TYPES)}", found=f"without {missing}")
    for column in ("raw_path", "edit_path"):
        table[column] = [str(Path(folder) / name) for name in table[column]]
    return table


def truth_of(row) -> tuple[EditList, np.ndarray] | None:
    """Return a row's edit list and beats, or None where the truth is not known."""
    if not row.edit_list:
        return None
    return EditList.model_validate_json(row.edit_list), np.asarray(row.beats, np.int64)
