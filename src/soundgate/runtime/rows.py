"""Arrays that do not fit into memory: written a part at a time, read through a memory map."""

from __future__ import annotations

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


def spilled_rows(parts: Iterable[np.ndarray], dtype: np.typing.DTypeLike, folder: Path) -> np.ndarray:
    """Return parts one after another as one array that lies in a file without a name, gone with the array.

    Args:
        parts: see `write_rows`; they are converted.
        dtype: of the array.
        folder: on the disk that has room; made if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder) as file:
        count, shape = 0, ()
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype).data)
            count, shape = count + len(part), part.shape[1:]
        file.flush()
        if not count:
            return np.empty((0, *shape), dtype)
        return np.asarray(np.memmap(file, dtype, "r", shape=(count, *shape)))
