"""The training loop: epochs of keyed batches, a checkpoint from which a killed run goes on bit for bit."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pandas as pd
from pydantic import Field

from soundgate.runtime.config import Section
from soundgate.runtime.console import logger, track
from soundgate.runtime.errors import TrainingError
from soundgate.runtime.processes import from_main, is_main
from soundgate.training.checkpoint import Progress, begin_from, hash_of_checkpoint, resume, save_checkpoint
from soundgate.training.finite import NonFiniteBatch
from soundgate.training.health.monitor import Monitor, Unwatched
from soundgate.training.health.records import RUNS_FOLDER as DIAGNOSTICS_FOLDER
from soundgate.training.health.settings import HealthSettings
from soundgate.training.loading import Loaded, Order, loading
from soundgate.training.run_folders import run_folder
from soundgate.training.task import Task
from soundgate.training.tensorboard import Curves, curves_folder


class LoopSettings(Section):
    """How long to train.

    Args:
        epochs: passes; 0 trains nothing.
        horizon: passes that schedules are made for; None: ``epochs``. Where it is set, ``epochs`` may grow and what is
            trained is gone on with: the same numbers as in one go.
        batch_size: items a step.
        steps_per_epoch: steps that count as a pass; None: as many whole batches as there are.
        checkpoint_s: seconds between checkpoints inside an epoch.
        workers: loader processes that draw batches ahead; 0: none. They change no number.
        patience: batches in a row that may be skipped because they are not finite; one more ends the training.
        init_from: a checkpoint of another training, whose weights this one begins with: those of the modules that both
            have by name; None: random ones. Optimisers begin anew.
    """

    epochs: int = Field(ge=0)
    horizon: int | None = Field(default=None, ge=1)
    batch_size: int = Field(ge=1)
    steps_per_epoch: int | None = Field(default=None, ge=1)
    checkpoint_s: float = Field(default=60.0, gt=0)
    workers: int = Field(default=0, ge=0)
    patience: int = Field(default=10, ge=0)
    init_from: str | None = None

    def per_epoch(self, n_items: int) -> int:
        """Return the steps of a pass over so many items."""
        return self.steps_per_epoch or max(1, n_items // self.batch_size)

    def n_steps(self, n_items: int) -> int:
        """Return the steps that schedules are made for."""
        return (self.epochs if self.horizon is None else self.horizon) * self.per_epoch(n_items)


def work_params(section: Section) -> dict:
    """Return a section's values less those that change no number of the steps taken so far, for `open_scratch`.

    Those are of each `LoopSettings` in it how often checkpoints are written, how many processes load, how many batches
    may be skipped, and, with a horizon, how long it goes on. Of weights to begin from their hash counts, not where they
    lie. For a stage of one training: of several, each depends on how long others before it went on.

    Raises:
        FormatError: no weights to begin from.
    """
    return _less(section.model_dump(mode="json"))


def _less(value: object) -> object:
    if not isinstance(value, dict):
        return value
    if value.keys() != LoopSettings.model_fields.keys():
        return {key: _less(part) for key, part in value.items()}
    left_out = {"checkpoint_s", "workers", "patience"} | ({"epochs"} if value["horizon"] else set())
    begun = {"init_from": value["init_from"] and hash_of_checkpoint(value["init_from"])}
    return {key: part for key, part in value.items() if key not in left_out} | begun


def fit(
    task: Task,
    settings: LoopSettings,
    n_items: int,
    *,
    seed: int,
    name: str,
    checkpoint: str | Path,
    health: HealthSettings | None = None,
    diagnostics: Path | None = None,
) -> list[dict]:
    """Train, going on from ``checkpoint`` where there is one.

    Batches are keyed by (seed, name, epoch) and PyTorch's generator by (seed, name, step), so a run that was
    killed and one that was not compute the same numbers. Epochs are logged for TensorBoard, see `Curves`. A batch that
    the task refuses as not finite is skipped and counted.

    Args:
        task: models, optimisers and the step.
        settings: see `LoopSettings`.
        n_items: how many items there are to draw from.
        seed: of the experiment.
        name: of this run, distinct within the experiment.
        checkpoint: the file to go on from and to write.
        health: watch the training; it changes nothing of the result. None: nobody watches.
        diagnostics: folder for the monitor's records; by default one under ``runs/diagnostics`` where the checkpoint
            is in a stage's work folder, and none elsewhere.

    Returns:
        One row for each epoch: ``epoch``, ``step``, the means of the steps' losses, the epoch's evaluation, and
        ``skipped`` batches where there were any.

    Raises:
        TrainingError: nothing to train on, a loss that is not finite, or too many batches skipped in a row.
        FormatError: a checkpoint that cannot be read or belongs to something else.
    """
    if n_items < 1:
        raise TrainingError(name, expected="items to train on", found="none")
    checkpoint = Path(from_main(str(checkpoint)))
    progress = resume(task, checkpoint, settings.epochs * settings.per_epoch(n_items))
    if settings.init_from and not progress.step:
        begin_from(task, settings.init_from)
    health = health and health.of_length(settings.epochs * settings.per_epoch(n_items))
    monitor = _monitor(task, health, name, checkpoint, diagnostics, progress)
    try:
        _train(task, settings, n_items, seed, name, checkpoint, progress, monitor)
    finally:
        monitor.close()
    return progress.history


def _train(
    task: Task,
    settings: LoopSettings,
    n_items: int,
    seed: int,
    name: str,
    checkpoint: Path,
    progress: Progress,
    monitor: Unwatched,
) -> None:
    """Take the steps that are left; see `fit`."""
    curves = Curves(curves_folder(checkpoint, name) if is_main() else None, progress.history)
    per_epoch = settings.per_epoch(n_items)
    order = Order(seed, name, n_items, settings.batch_size, per_epoch)
    left = range(progress.step, settings.epochs * per_epoch)
    with loading(task, order, left, settings.workers) as batches:
        for epoch in range(progress.step // per_epoch, settings.epochs):
            inside = range(progress.step, (epoch + 1) * per_epoch)
            saved = time.monotonic()
            for step in track(inside, f"{name}, epoch {epoch + 1} of {settings.epochs}"):
                loaded = next(batches)
                order.begin(step, loaded.drawn)
                monitor.before(step)
                losses = _step(task, loaded, progress, monitor, settings.patience, f"{name}, step {step}")
                monitor.after(step, losses, len(loaded.rows))
                progress.step += 1
                progress.partial.append(losses)
                if time.monotonic() - saved > settings.checkpoint_s and progress.step % per_epoch:
                    save_checkpoint(task, checkpoint, progress)
                    saved = time.monotonic()
            row = {"epoch": epoch + 1, "step": progress.step} | _means(progress.partial) | task.evaluate()
            progress.history.append(row)
            progress.partial = []
            save_checkpoint(task, checkpoint, progress)
            curves.add(row)
            logger.info("%s: %s", name, ", ".join(f"{key} {value:.4g}" for key, value in row.items()))


def _step(
    task: Task, loaded: Loaded, progress: Progress, monitor: Unwatched, patience: int, where: str
) -> dict[str, float]:
    """Return the losses of one step; none where the task refused the batch.

    Raises:
        TrainingError: a loss that is not finite although weights were changed, or too many refusals in a row.
    """
    rows, drawn = loaded
    try:
        losses = task.step(rows, progress.step) if drawn is None else task.learn(drawn.batch, progress.step)
    except NonFiniteBatch as error:
        progress.skipped += 1
        logger.warning("%s: batch skipped: %s", where, error)
        monitor.refuse(str(error))
        if progress.skipped > patience:
            monitor.after(progress.step, {}, len(rows))
            raise _not_finite(where, f"{error}, as {progress.skipped} batches in a row") from error
        return {}
    progress.skipped = 0
    wrong = [key for key, value in losses.items() if not math.isfinite(value)]
    if wrong:
        monitor.refuse(f"{', '.join(wrong)} not finite")
        monitor.after(progress.step, losses, len(rows))
        raise _not_finite(where, f"{', '.join(wrong)} not finite")
    return losses


def _not_finite(where: str, found: str) -> TrainingError:
    remedy = "The last checkpoint is kept; a lower learning rate or gradient clipping may help."
    return TrainingError(where, expected="finite losses", found=found, remedy=remedy)


def _monitor(
    task: Task,
    health: HealthSettings | None,
    name: str,
    checkpoint: Path,
    diagnostics: Path | None,
    progress: Progress,
) -> Unwatched:
    if health is None or not health.enabled or not is_main():
        return Unwatched()
    folder = diagnostics or run_folder(DIAGNOSTICS_FOLDER, checkpoint, name)
    curves = curves_folder(checkpoint, name)
    curves = None if curves is None else curves / "diagnostics"
    return Monitor(task, health, folder, curves, progress.step, progress.partial, name)


def _means(rows: list[dict]) -> dict[str, float]:
    """Return each loss's mean over the steps that had it (a critic may be skipped), and how many batches had none."""
    means = {key: float(value) for key, value in pd.DataFrame(rows).mean().items()}
    skipped = sum(not row for row in rows)
    return means | {"skipped": float(skipped)} if skipped else means
