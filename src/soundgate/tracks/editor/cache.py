"""The cache of pairs that every training of this track reads: packed frames and one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import ValidationError

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import atomic_path, read_json, write_json
from soundgate.runtime.rows import write_rows
from soundgate.tracks.editor.features import FeatureSettings

INDEX_FILE = "index.parquet"
SETTINGS_FILE = "features.json"
FRAMES = ("raw", "target")
COLUMNS = ["pair_id", "group", "split", "known", "raw_path", "edit_path", "n_frames", "n_beats"]
# One list for each pair.
BEAT_COLUMNS = {"edges": "int64", "labels": "int64", "plays": "float32", "seconds": "float32"}


class CachedPair(NamedTuple):
    """A pair, or some of its beats.

    Args:
        raw: float32 [F, n_mels] in [0, 1], the raw recording.
        target: likewise, what the edit makes of it on its own timeline.
        edges: int64 [N + 1]; beat ``b`` is the frames ``edges[b]:edges[b + 1]``, none is empty.
        labels: int64 [N], values of `Label`.
        plays: float32 [N], how often each beat is heard in the edit.
        seconds: float32 [N], length of each beat.
    """

    raw: np.ndarray
    target: np.ndarray
    edges: np.ndarray
    labels: np.ndarray
    plays: np.ndarray
    seconds: np.ndarray


@dataclass(frozen=True)
class PairCache:
    """All pairs.

    Args:
        settings: what the frames were made with.
        table: one row for each pair, ``COLUMNS`` and ``BEAT_COLUMNS``; ``known`` says whether the edit list is the
            true one, else it is the one that recovered labels describe.
        frames: float16 [all frames, n_mels] of ``raw`` and of ``target``, memory maps, the pairs one after another.
    """

    settings: FeatureSettings
    table: pd.DataFrame
    frames: dict[str, np.ndarray]

    @classmethod
    def open(cls, folder: str | Path) -> PairCache:
        """Open what `write_cache` wrote.

        Raises:
            FormatError: a file is missing, unreadable or does not fit the others.
        """
        folder = Path(folder)
        try:
            settings = FeatureSettings.model_validate(read_json(folder / SETTINGS_FILE))
            table = pd.read_parquet(folder / INDEX_FILE)
            frames = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in FRAMES}
        except (OSError, ValueError, ValidationError) as error:
            raise FormatError(folder, expected="a cache of pairs", found=str(error)) from error
        columns = [*COLUMNS, *BEAT_COLUMNS]
        shape = (int(table["n_frames"].sum()), settings.n_mels) if "n_frames" in table else None
        if list(table) != columns or any(packed.shape != shape for packed in frames.values()):
            found = f"{list(table)}, {[packed.shape for packed in frames.values()]}"
            raise FormatError(folder, expected=f"frames of all rows of {columns}, {shape}", found=found)
        return cls(settings, table, frames)

    @cached_property
    def _first_frame(self) -> np.ndarray:
        return np.cumsum(self.table["n_frames"].to_numpy()) - self.table["n_frames"].to_numpy()

    @cached_property
    def _beats(self) -> dict[str, list[np.ndarray]]:
        return {name: [np.asarray(own, kind) for own in self.table[name]] for name, kind in BEAT_COLUMNS.items()}

    def rows(self, split: str) -> np.ndarray:
        """Return the row numbers of a split, int64 [n]."""
        return np.flatnonzero((self.table["split"] == split).to_numpy())

    def edges(self, row: int) -> np.ndarray:
        """Return the edges of a pair's beats, int64 [N + 1]."""
        return self._beats["edges"][row]

    def pair(self, row: int, span: tuple[int, int] | None = None) -> CachedPair:
        """Return a pair.

        Args:
            row: its number.
            span: first beat and one past the last; None: all. The edges then count from the first of them.
        """
        beats = {name: own[row] for name, own in self._beats.items()}
        first, last = span or (0, len(beats["labels"]))
        edges = beats["edges"][first : last + 1]
        inside = slice(self._first_frame[row] + edges[0], self._first_frame[row] + edges[-1])
        raw, target = (self.frames[name][inside].astype(np.float32) for name in FRAMES)
        own = {name: beats[name][first:last] for name in ("labels", "plays", "seconds")}
        return CachedPair(raw, target, edges - edges[0], **own)


def write_cache(
    folder: str | Path, settings: FeatureSettings, table: pd.DataFrame, parts: Sequence[Mapping[str, np.ndarray]]
) -> None:
    """Write a cache.

    Args:
        folder: made if missing.
        settings: what the frames were made with.
        table: ``COLUMNS`` and ``BEAT_COLUMNS``.
        parts: ``raw`` and ``target``, float16 [F, n_mels] each, one for each row; memory maps will do.
    """
    folder = Path(folder)
    assert list(table) == [*COLUMNS, *BEAT_COLUMNS] and len(parts) == len(table)
    for name in FRAMES:
        write_rows(folder / f"{name}.npy", (part[name] for part in parts), np.float16)
    with atomic_path(folder / INDEX_FILE) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")
    write_json(folder / SETTINGS_FILE, settings.model_dump())
