"""`.npz` files whose bytes depend on the arrays alone."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

# Of an array's header in its member, at most.
_HEADER_BYTES = 4096


def write_npz(file: str | Path | IO[bytes], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays uncompressed, as `numpy.load` and memory maps read them.

    Args:
        file: a path, or a file open for writing in binary.
        arrays: by name; no array of objects.

    Differs: `numpy.savez` forces the 64-bit form of every member, whose bytes changed between patch releases of
        Python; here only members that need it have it. Any name will do, also ``file``.
    """
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            # Without a date of its own a member is dated 1980.
            member = zipfile.ZipInfo(f"{name}.npy")
            member.file_size = array.nbytes + _HEADER_BYTES
            with archive.open(member, "w") as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)
