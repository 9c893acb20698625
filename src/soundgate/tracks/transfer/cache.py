"""The cache of log-mel chunks that everything in this track reads: one array, one table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from soundgate.audio.mel import to_model
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import atomic_path
from soundgate.runtime.rows import write_rows

MELS_FILE = "mels.npy"
INDEX_FILE = "index.parquet"
# Frames that Labs and Lab 3 work on: 2.97 s.
N_FRAMES = 256
CHUNK_COLUMNS = [
    "chunk_id",
    "track_id",
    "utt_id",
    "path",
    "chunk",
    "start_s",
    "genre",
    "genre_code",
    "source",
    "source_code",
    "score_id",
    "group",
    "is_music",
    "split",
]


@dataclass(frozen=True)
class ChunkCache:
    """Chunks of music, and of what is not music, as log-mel spectrograms.

    Args:
        index: one row for each chunk, columns ``CHUNK_COLUMNS``.
        mels: float16 [N, n_mels, F] dB in [-80, 0], a memory map.
    """

    index: pd.DataFrame
    mels: np.ndarray

    @classmethod
    def open(cls, folder: str | Path) -> ChunkCache:
        """Open what `write_cache` wrote.

        Raises:
            FormatError: a file is missing, unreadable or does not fit the other.
        """
        folder = Path(folder)
        try:
            index = pd.read_parquet(folder / INDEX_FILE)
            mels = np.load(folder / MELS_FILE, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise FormatError(folder, expected="a cache of chunks", found=str(error)) from error
        if len(index) != len(mels) or list(index) != CHUNK_COLUMNS:
            found = f"{len(index)} rows with {list(index)}, {len(mels)} spectrograms"
            raise FormatError(folder, expected=f"as many spectrograms as rows of {CHUNK_COLUMNS}", found=found)
        return cls(index, mels)

    @cached_property
    def genres(self) -> list[str]:
        """The genres' names; a row's ``genre_code`` is its position here."""
        return sorted(self.index.loc[self.index["is_music"], "genre"].unique())

    @cached_property
    def sources(self) -> list[str]:
        """The sources' names; a row's ``source_code`` is its position here."""
        return sorted(self.index.loc[self.index["is_music"], "source"].unique())

    def rows(self, split: str | None = None, music: bool | None = True) -> np.ndarray:
        """Return row numbers, int64 [n]: of one split or all, of music, of the rest (False) or of both (None)."""
        chosen = np.ones(len(self.index), dtype=bool)
        if split is not None:
            chosen &= (self.index["split"] == split).to_numpy()
        if music is not None:
            chosen &= self.index["is_music"].to_numpy() == music
        return np.flatnonzero(chosen)

    def batch(self, rows: np.ndarray, start_frame: int | np.ndarray = 0, n_frames: int = N_FRAMES) -> Tensor:
        """Return crops in the models' scale.

        Args:
            rows: int [B].
            start_frame: of all crops, or one for each.
            n_frames: of each crop.

        Returns:
            float32 [B, n_mels, n_frames] in [-1, 1].
        """
        starts = np.broadcast_to(start_frame, len(rows))
        crops = [self.mels[row, :, start : start + n_frames] for row, start in zip(rows, starts, strict=True)]
        return to_model(torch.from_numpy(np.stack(crops).astype(np.float32)))

    @cached_property
    def renderings(self) -> dict[tuple[str, int], np.ndarray]:
        """Rows of music by (group, chunk): the same music, sample-aligned, wherever a group has several tracks."""
        groups = self.index[self.index["is_music"]].groupby(["group", "chunk"]).groups
        return {key: rows.to_numpy() for key, rows in groups.items()}

    def true_rows(self, row: int, genre: str) -> np.ndarray:
        """Return the rows that a transfer of ``row`` to ``genre`` should sound like; none where that is unknown.

        They are the same moment of the same score in that genre: by the same source where there is one, else by all.
        """
        group, chunk, start_s, source, genres = (
            self._columns[name] for name in ("group", "chunk", "start_s", "source", "genre")
        )
        moment = self.renderings[group[row], chunk[row]]
        same = moment[(genres[moment] == genre) & (start_s[moment] == start_s[row])]
        by_source = same[source[same] == source[row]]
        return by_source if len(by_source) else same

    @cached_property
    def _columns(self) -> dict[str, np.ndarray]:
        """The index's columns as arrays: single rows are looked up thousands of times."""
        return {name: self.index[name].to_numpy() for name in self.index}


def write_cache(folder: str | Path, index: pd.DataFrame, mels: Iterable[np.ndarray]) -> None:
    """Write a cache.

    Args:
        folder: made if missing.
        index: columns ``CHUNK_COLUMNS``.
        mels: float16 [n_i, n_mels, F] each, together one for each row of the index; one is in memory at a time.
    """
    folder = Path(folder)
    n_chunks = write_rows(folder / MELS_FILE, mels, np.float16)
    assert list(index) == CHUNK_COLUMNS and n_chunks == len(index)
    with atomic_path(folder / INDEX_FILE) as temporary:
        index.to_parquet(temporary, index=False)
