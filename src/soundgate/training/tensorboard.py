"""Training curves for TensorBoard: event files beside the pipeline, for they hold times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from soundgate.runtime.console import logger
from soundgate.training.run_folders import run_folder

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

RUNS_FOLDER = Path("runs", "tensorboard")
EVENT_FILES = "events.out.tfevents.*"
_COUNTS = ("epoch", "step")


def curves_folder(checkpoint: str | Path, name: str) -> Path | None:
    """Return where a training's curves are kept: ``runs/tensorboard/<profile>/<track>/<output>/<name>``.

    Args:
        checkpoint: of the training, in the work folder of a stage.
        name: of the training.

    Returns:
        The folder; None where the checkpoint is in no stage's work folder.
    """
    return run_folder(RUNS_FOLDER, checkpoint, name)


class Curves:
    """The curves of one training, each epoch in them once however often it was interrupted.

    No failure stops a training: it is logged, and nothing more is written.

    Args:
        folder: event files in it are replaced; None: nothing is written.
        history: the epochs so far, see `soundgate.training.loop.fit`.
    """

    def __init__(self, folder: Path | None, history: Iterable[Mapping[str, float]]) -> None:
        self._writer: SummaryWriter | None = None
        if folder is None:
            return
        try:
            self._writer = _new_writer(folder)
        except Exception as error:  # Curves are never worth a training, whatever is wrong with a library or a disk.
            _warn(error)
        for row in history:
            self.add(row)

    def add(self, row: Mapping[str, float]) -> None:
        """Add one epoch: a scalar for each figure of it that is a number, over the steps."""
        if self._writer is None:
            return
        try:
            for name, value in row.items():
                if name not in _COUNTS and math.isfinite(value):
                    self._writer.add_scalar(name, value, row["step"])
            self._writer.flush()
        except Exception as error:
            _warn(error)
            self._writer = None


def _warn(error: Exception) -> None:
    logger.warning("No curves for TensorBoard: %s", error)


def _new_writer(folder: Path) -> SummaryWriter:
    # Half a second, spared those who do not train.
    from torch.utils.tensorboard import SummaryWriter

    folder.mkdir(parents=True, exist_ok=True)
    for older in folder.glob(EVENT_FILES):
        older.unlink()
    return SummaryWriter(str(folder))
