"""Arrays that do not fit into memory: written a part at a time, read where asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from soundgate.runtime.files import atomic_path


def write_rows(path: str | Path, parts: Iterable[np.ndarray], dtype: np.typing.DTypeLike) -> int:
    """Write parts one after another into one ``.npy`` file: the bytes of ``np.save`` of all of them together.

    Args:
        path: replaced as a whole.
        parts: [n_i, ...] each, of one shape but for their lengths; one is in memory at a time.
        dtype: of all of them.

    Returns:
        How many rows there are; without any part they are single values.
    """
    count, shape = 0, None
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for part in parts:
            if shape is None:
                shape = part.shape[1:]
                _write_header(file, dtype, (0, *shape))
            assert part.dtype == dtype and part.shape[1:] == shape, (part.dtype, part.shape, shape)
            file.write(np.ascontiguousarray(part).data)
            count += len(part)
        # NumPy leaves space in the header for the first dimension to grow.
        file.seek(0)
        _write_header(file, dtype, (count, *(shape or ())))
    return count


def _write_header(file: IO[bytes], dtype: np.typing.DTypeLike, shape: tuple[int, ...]) -> None:
    description = np.lib.format.dtype_to_descr(np.dtype(dtype))
    header = {"descr": description, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


class SpilledRows:
    """Rows in a file without a name, gone with this object: read where asked for, so that nothing read stays in memory.

    Indexed like an array's rows: by number, slice, integers of any shape, or these and what of the rows to take.

    Attributes:
        shape: ``(n, ...)``.
        dtype: of the values.
    """

    def __init__(self, file: IO[bytes], shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> None:
        self._file, self.shape, self.dtype = file, shape, np.dtype(dtype)
        self._row_bytes = self.dtype.itemsize * int(np.prod(shape[1:]))

    def __len__(self) -> int:
        """Return n."""
        return self.shape[0]

    def __array__(self, dtype: np.typing.DTypeLike = None, copy: bool | None = None) -> np.ndarray:
        """Return all rows."""
        return self[:] if dtype is None else self[:].astype(dtype)

    def __getitem__(self, key: object) -> np.ndarray:
        """Return rows, read in runs of those that follow each other."""
        if isinstance(key, tuple):
            rows = self[key[0]]
            return rows[(slice(None),) * (rows.ndim - len(self.shape) + 1) + key[1:]]
        wanted = np.arange(*key.indices(len(self))) if isinstance(key, slice) else np.asarray(key)
        if wanted.dtype == bool:
            wanted = np.flatnonzero(wanted)
        if wanted.size and not (wanted.min() >= 0 and wanted.max() < len(self)):
            raise IndexError(f"rows: expected 0 to {len(self) - 1}, found {wanted.min()} to {wanted.max()}")
        found = np.empty((wanted.size, *self.shape[1:]), self.dtype)
        flat, content = wanted.ravel(), memoryview(found.reshape(-1).view(np.uint8))
        begins = np.concatenate([[0], 1 + np.flatnonzero(np.diff(flat) != 1)]) if len(flat) else flat
        runs = np.stack([begins, np.append(begins[1:], len(flat))[: len(begins)], flat[begins]], axis=1)
        for first, last, offset in (runs * self._row_bytes).tolist():
            content[first:last] = self._read(last - first, offset)
        return found.reshape((*wanted.shape, *self.shape[1:]))

    def _read(self, count: int, offset: int) -> bytes:
        # At a place of its own, not the file's: threads and forked processes read at once.
        data = os.pread(self._file.fileno(), count, offset)
        while len(data) < count:
            more = os.pread(self._file.fileno(), count - len(data), offset + len(data))
            if not more:
                raise OSError(f"spilled rows end at byte {offset + len(data)}: the disk is at fault")
            data += more
        return data


def spilled_rows(parts: Iterable[np.ndarray], dtype: np.typing.DTypeLike, folder: Path) -> SpilledRows:
    """Return parts one after another as rows that lie in a file without a name.

    Args:
        parts: see `write_rows`; they are converted.
        dtype: of the rows.
        folder: on the disk that has room; made if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = TemporaryFile(dir=folder)
    count, shape = 0, ()
    for part in parts:
        file.write(np.ascontiguousarray(part, dtype).data)
        count, shape = count + len(part), part.shape[1:]
    file.flush()
    return SpilledRows(file, (count, *shape), dtype)
