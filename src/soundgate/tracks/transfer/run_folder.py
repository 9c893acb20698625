"""What a training run leaves behind, under the names the seed gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from soundgate.runtime.files import write_json
from soundgate.training.history import write_history

HISTORY_FILE = "history.csv"
STATE_FILE = "run_state.json"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run: ``checkpoints/``, ``run_state.json``, ``history.csv``.

    Args:
        folder: made when the first file is written.
    """

    folder: Path

    def checkpoint(self, stage: int) -> Path:
        """Return where stage ``stage`` (1, 2, ...) keeps its latest checkpoint."""
        return self.folder / "checkpoints" / f"stage{stage}_latest.pt"

    def write_state(self, state: Mapping) -> None:
        """Write ``run_state.json`` (JSON values)."""
        write_json(self.folder / STATE_FILE, dict(state))

    def write_history(self, rows: Mapping[int, Sequence[Mapping]]) -> pd.DataFrame:
        """Write ``history.csv`` and return it.

        Args:
            rows: an epoch's figures each, in order, by stage.

        Returns:
            One row an epoch, the column ``stage`` first; a figure that a stage does not have is empty.
        """
        table = history_table(rows)
        write_history(self.folder / HISTORY_FILE, table)
        return table


def history_table(rows: Mapping[int, Sequence[Mapping]]) -> pd.DataFrame:
    """Return the epochs of all stages as one table; see `RunFolder.write_history`."""
    return pd.DataFrame([{"stage": stage, **row} for stage, epochs in sorted(rows.items()) for row in epochs])
