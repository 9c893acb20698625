"""Training curves as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from soundgate.runtime.files import atomic_path


def write_history(path: str | Path, rows: pd.DataFrame | Sequence[Mapping]) -> None:
    """Write epochs as CSV, for a run's folder or for a plot; see `soundgate.training.loop.fit`."""
    with atomic_path(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
