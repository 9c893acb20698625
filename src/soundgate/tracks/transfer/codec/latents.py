"""The latents of every chunk of music: one array, and the codec they are of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import atomic_path, read_json, write_json
from soundgate.runtime.npz import write_npz
from soundgate.runtime.rows import write_rows

# Chunks whose mean and spread are summed at once.
_AT_ONCE = 256
LATENTS_FILE, SCALE_FILE, CONFIG_FILE = "latents.npy", "scale.npz", "config.json"


@dataclass(frozen=True)
class LatentCache:
    """Codec latents of the music in a `soundgate.tracks.transfer.cache.ChunkCache`.

    Args:
        latents: float16 [n, D, L], a memory map.
        rows: int64 [n], ascending: the chunk cache's row of each.
        mean: float32 [D], over the frames of train rows.
        std: float32 [D].
        config: ``codec``, its ``settings``, and whether latents were ``quantised``.
    """

    latents: np.ndarray
    rows: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    config: dict

    @classmethod
    def open(cls, folder: str | Path) -> LatentCache:
        """Open what `write_latents` wrote.

        Raises:
            FormatError: a file is missing, unreadable or does not fit the others.
        """
        folder = Path(folder)
        try:
            latents = np.load(folder / LATENTS_FILE, mmap_mode="r")
            scale, config = dict(np.load(folder / SCALE_FILE)), read_json(folder / CONFIG_FILE)
            cache = cls(latents, scale["rows"], scale["mean"], scale["std"], config)
        except (OSError, ValueError, KeyError) as error:
            raise FormatError(folder, expected="a cache of latents", found=str(error)) from error
        if latents.ndim != 3 or len(latents) != len(cache.rows) or latents.shape[1] != len(cache.mean):
            found = f"latents {latents.shape}, {len(cache.rows)} rows, {len(cache.mean)} dimensions"
            raise FormatError(folder, expected="latents [n, D, L] of n rows and D dimensions", found=found)
        return cache

    @property
    def dim(self) -> int:
        """Dimension D of a frame."""
        return self.latents.shape[1]

    @property
    def n_frames(self) -> int:
        """Frames L of a chunk."""
        return self.latents.shape[2]

    def batch(self, rows: np.ndarray, start: int | np.ndarray = 0, n_frames: int | None = None) -> Tensor:
        """Return crops of latents.

        Args:
            rows: int [B], of the chunk cache.
            start: frame of all crops, or one for each.
            n_frames: of each crop; None: to the end.

        Returns:
            float32 [B, D, n_frames].
        """
        n_frames = self.n_frames - int(np.max(start)) if n_frames is None else n_frames
        at = np.searchsorted(self.rows, rows)
        assert np.array_equal(self.rows[at], rows), "rows without latents"
        starts = np.broadcast_to(start, len(at))
        crops = [self.latents[i, :, first : first + n_frames] for i, first in zip(at, starts, strict=True)]
        return torch.from_numpy(np.stack(crops).astype(np.float32))

    def means(self, n_rows: int) -> np.ndarray:
        """Return each chunk's mean over time in units of the train rows' spread, float32 [n_rows, D]; NaN elsewhere."""
        result = np.full((n_rows, self.dim), np.nan, np.float32)
        for row, own in zip(self.rows, self.latents, strict=True):
            result[row] = (own.astype(np.float32).mean(-1) - self.mean) / self.std
        return result


def write_latents(
    folder: str | Path, rows: np.ndarray, parts: Iterable[np.ndarray], train: np.ndarray, config: dict
) -> None:
    """Write a cache of latents; one part is in memory at a time.

    Args:
        folder: made if missing.
        rows: int64 [n], ascending.
        parts: float16 [n_i, D, L] each, together one for each row.
        train: bool [n], rows the scale is taken from.
        config: see `LatentCache`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Of an earlier run the cache may hold the same file, by a hard link: it is replaced, not written to.
    n_chunks = write_rows(folder / LATENTS_FILE, parts, np.float16)
    assert n_chunks == len(rows) == len(train)
    mean, std = _scale(np.load(folder / LATENTS_FILE, mmap_mode="r"), np.flatnonzero(train))
    with atomic_path(folder / SCALE_FILE) as temporary:
        write_npz(temporary, {"rows": rows, "mean": mean.astype("f4"), "std": std.astype("f4")})
    write_json(folder / CONFIG_FILE, config)


def _scale(latents: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation over the frames of some chunks, float64 [D], the latter above 0."""
    parts = np.array_split(rows, -(-len(rows) // _AT_ONCE))
    count = len(rows) * latents.shape[2]
    mean = sum(latents[part].astype(np.float64).sum(axis=(0, 2)) for part in parts) / count
    squares = sum(np.square(latents[part].astype(np.float64) - mean[:, None]).sum(axis=(0, 2)) for part in parts)
    return mean, np.sqrt(squares / count) + 1e-6
