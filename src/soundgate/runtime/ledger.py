"""Finished parts of a long computation, kept as JSON so that a killed run repeats none of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soundgate.runtime.files import read_json, write_json


@dataclass(frozen=True)
class Ledger:
    """Parts by name in a work folder; without a folder nothing is kept.

    The folder must belong to exactly one set of inputs, parameters and code: `soundgate.runtime.scratch` sees to that.
    """

    folder: Path | None = None

    def once(self, name: str, compute: Callable[[], dict]) -> dict:
        """Return the part of that name, computed now or read from the run that finished it; the same either way.

        Args:
            name: distinct for each part; becomes a file name.
            compute: gives a dictionary of plain values and arrays.

        Returns:
            JSON values: arrays as lists, what is not finite as None.
        """
        path = None if self.folder is None else self.folder / f"{name.replace(' ', '-')}.json"
        if path is not None and path.exists():
            return read_json(path)
        part = jsonable(compute())
        if path is not None:
            write_json(path, part)
        return part


def jsonable(value):
    """Return plain JSON values: arrays as lists, NumPy numbers as Python's, what is not finite as None."""
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [jsonable(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
