"""Phase 1's training step."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from soundgate.runtime.randomness import keyed_generator, keyed_seed
from soundgate.tracks.editor.cache import PairCache
from soundgate.tracks.editor.features import Features
from soundgate.tracks.editor.reconstruct.drawing import draw_edit
from soundgate.tracks.editor.reconstruct.losses import consistency_loss, l1_loss, mse_loss, multi_resolution_loss
from soundgate.tracks.editor.reconstruct.measures import measure
from soundgate.tracks.editor.reconstruct.model import build_reconstruction
from soundgate.tracks.editor.reconstruct.settings import ReconstructionSettings
from soundgate.tracks.editor.windows import Batch, draw_windows, whole_batch
from soundgate.training.learner import Learner
from soundgate.training.optimisers import adamw
from soundgate.training.schedule import set_rate, warm_cosine
from soundgate.training.task import DrawnTask

STAGE = "editor-reconstruct"


class ReconstructionTask(DrawnTask):
    """Windows of the train pairs, some with labels of their own, some with drawn ones.

    Args:
        cache: the pairs; the train rows are the items, the validation rows measure.
        settings: see `ReconstructionSettings`.
        seed: of the draws.
        device: to compute on.
        n_steps: of the whole training, for the schedule.
    """

    def __init__(
        self, cache: PairCache, settings: ReconstructionSettings, seed: int, device: torch.device, n_steps: int
    ) -> None:
        self.cache, self.settings, self.seed, self.device, self.n_steps = cache, settings, seed, device, n_steps
        self.rows, self.evaluated = cache.rows("train"), cache.rows("validation")
        self.features = Features(cache.settings)
        torch.manual_seed(keyed_seed(seed, STAGE, "weights"))
        self.model = build_reconstruction(settings.network, cache.settings).to(device)
        self.model.set_checkpointing(settings.checkpointing)
        self.modules = {"model": self.model}
        optimiser = adamw(self.model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        self.optimisers = {"adamw": optimiser}
        self.learner = Learner(optimiser, settings.clip)

    def draw(self, items: np.ndarray, step: int) -> Batch:
        """Draw a window of each item; the first of them, as many as the settings say, get drawn labels."""
        windows = draw_windows(self.cache, self.rows[items], self.settings.network.n_frames)
        generator = keyed_generator(self.seed, STAGE, f"labels {step}")
        n_drawn = round(self.settings.drawn.share * len(windows))
        drawn = [draw_edit(pair, self.features, self.settings.drawn, generator) for pair in windows[:n_drawn]]
        return whole_batch([*drawn, *windows[n_drawn:]])

    def learn(self, batch: Batch, step: int) -> dict[str, float]:
        """Take one step on windows."""
        self.model.train()
        batch = batch.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bf16):
            made = self.model(batch.raw, batch.frame_labels)
        losses = self._losses(made.float(), batch)
        weights = self.settings.weights.model_dump()
        total = sum(weights[name] * loss for name, loss in losses.items())
        share = warm_cosine(step, self.n_steps, warm_up=self.settings.warmup_steps, final=0.0)
        set_rate(self.optimisers["adamw"], share * self.settings.learning_rate)
        return self.learner.descend(losses | {"loss": total})

    def evaluate(self) -> dict[str, float]:
        """Return `measure` on the validation pairs, its names after ``validation_``; nothing without any."""
        if not len(self.evaluated):
            return {}
        measured = measure(self.model.eval(), self.cache, self.evaluated, self.seed, STAGE)
        return {f"validation_{name}": value for name, value in measured.items()}

    def _losses(self, made: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the losses that have a weight."""
        mask = batch.frame_mask
        losses = {
            "l1": lambda: l1_loss(made, batch.target, mask),
            "mse": lambda: mse_loss(made, batch.target, mask),
            "stft": lambda: multi_resolution_loss(made, batch.target, mask),
            "consistency": lambda: consistency_loss(made, batch.raw, batch.frame_labels),
        }
        weights = self.settings.weights.model_dump()
        return {name: loss() for name, loss in losses.items() if weights[name]}
