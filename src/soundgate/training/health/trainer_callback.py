"""The health monitor in a training by ``transformers.Trainer``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from soundgate.training.health.defaults import DEFAULTS
from soundgate.training.health.hooks import Health, Probe, Watched, begin
from soundgate.training.health.settings import HealthSettings


class HealthCallback(TrainerCallback):
    """Watch a training; ``Trainer(..., callbacks=[HealthCallback("diagnostics")])``.

    Losses are those that the model returns, or, where it returns none, those that the trainer logs.

    Args:
        folder: gets ``diagnostics.jsonl``.
        probe: see `soundgate.training.health.hooks.watch`.
        settings: see `HealthSettings`.
    """

    def __init__(self, folder: str | Path, probe: Probe | None = None, settings: HealthSettings = DEFAULTS) -> None:
        self.folder, self.probe, self.settings = folder, probe, settings
        self._health: Health | None = None
        self._losses: list[Tensor] = []
        self._handle = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Begin, at the step from which the trainer goes on."""
        model = kwargs["model"]
        watched = Watched(model, kwargs["optimizer"], self.probe)
        self._health = begin(watched, self.folder, self.settings, state.global_step)
        self._handle = model.register_forward_hook(self._see)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Take note of an optimiser's step."""
        losses = {"loss": torch.stack(self._losses).mean()} if self._losses else {}
        self._losses = []
        n_items = args.train_batch_size * args.gradient_accumulation_steps
        self._health.step(losses, n_items)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Take the trainer's loss for the next step where the model returns none."""
        if not self._losses and logs and "loss" in logs:
            self._losses = [torch.tensor(float(logs["loss"]))]

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Take all hooks away."""
        self._handle.remove()
        self._health.close()

    def _see(self, model: nn.Module, _inputs: tuple, output: object) -> None:
        loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
        if model.training and isinstance(loss, Tensor):
            self._losses.append(loss.detach().mean())
