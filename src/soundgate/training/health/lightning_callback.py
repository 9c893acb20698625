"""The health monitor in a training by Lightning's ``Trainer``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from soundgate.runtime.errors import ConfigError
from soundgate.training.health.defaults import DEFAULTS
from soundgate.training.health.hooks import Health, Probe, Watched, begin
from soundgate.training.health.settings import HealthSettings

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as error:
    raise ConfigError(
        "soundgate.training.health.lightning_callback",
        expected="the package lightning",
        found=str(error),
        remedy="Run: uv pip install lightning",
    ) from error


class HealthCallback(Callback):
    """Watch a training; ``Trainer(callbacks=[HealthCallback("diagnostics")], ...)``.

    A step is a batch after which an optimiser has moved. Losses are the numbers that ``training_step`` returns, or,
    where it returns none, those that the module logs.

    Args:
        folder: gets ``diagnostics.jsonl``.
        probe: see `soundgate.training.health.hooks.watch`.
        settings: see `HealthSettings`.
    """

    def __init__(self, folder: str | Path, probe: Probe | None = None, settings: HealthSettings = DEFAULTS) -> None:
        self.folder, self.probe, self.settings = folder, probe, settings
        self._health: Health | None = None
        self._n_steps, self._moved, self._n_items = 0, 0, 0

    def state_dict(self) -> dict[str, int]:
        """Return the steps taken, for a checkpoint."""
        return {"n_steps": self._n_steps}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on from a checkpoint."""
        self._n_steps = state_dict["n_steps"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, at the step from which the trainer goes on."""
        networks = dict(pl_module.named_children()) or {"model": pl_module}
        optimisers = {f"optimiser_{number}": own for number, own in enumerate(trainer.optimizers)}
        watched = Watched(networks, optimisers, self.probe)
        self._health, self._moved = begin(watched, self.folder, self.settings, self._n_steps), trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Take note of a batch, and of the step where one was taken."""
        self._n_items += _size(batch)
        if trainer.global_step == self._moved:
            return
        losses = _numbers(outputs) or _numbers(trainer.callback_metrics)
        self._health.step(losses, self._n_items)
        self._moved, self._n_items, self._n_steps = trainer.global_step, 0, self._n_steps + 1

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take all hooks away, whether the training came to its end or not."""
        if self._health is not None:
            self._health.close()
            self._health = None


def _numbers(values: object) -> dict[str, Tensor]:
    """Return the tensors of one number, by name; a tensor alone is ``loss``."""
    named = values if isinstance(values, Mapping) else {"loss": values}
    return {name: value for name, value in named.items() if isinstance(value, Tensor) and value.numel() == 1}


def _size(batch: object) -> int:
    """Return the length of the first tensor in a batch, 1 where there is none."""
    if isinstance(batch, Tensor):
        return len(batch) if batch.ndim else 1
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, (list, tuple)) else ()
    return next((_size(part) for part in parts), 1)
