"""Imitation: the labels of the true edits by cross-entropy, PPO's warm start and what it has to beat."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.runtime.arithmetic import square_root
from soundgate.runtime.errors import TrainingError
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.editor.cache import PairCache
from soundgate.tracks.editor.policy.model import EditPredictor
from soundgate.tracks.editor.policy.scoring import baselines, by_policy, judge_labels, score_split, summarise_labels
from soundgate.tracks.editor.policy.settings import ImitationSettings
from soundgate.tracks.editor.recovery.scores import N_LABELS, accuracy, balanced_accuracy, macro_f1
from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import Batch, draw_batch, whole_batch
from soundgate.training.health.settings import HealthSettings
from soundgate.training.learner import Learner
from soundgate.training.loop import fit
from soundgate.training.optimisers import adamw
from soundgate.training.schedule import set_rate
from soundgate.training.task import DrawnTask

STAGE = "editor-imitate"


class ImitationTask(DrawnTask):
    """One window of each recording, the cross-entropy of its beats.

    Args:
        cache: its train rows are the items.
        settings: see `ImitationSettings`.
        seed: of the weights.
        device: to compute on.
        n_steps: of the whole training, for the schedule.
    """

    def __init__(
        self, cache: PairCache, settings: ImitationSettings, seed: int, device: torch.device, n_steps: int
    ) -> None:
        self.cache, self.settings, self.device, self.n_steps = cache, settings, device, n_steps
        self.rows = cache.rows("train")
        torch.manual_seed(keyed_seed(seed, STAGE, "weights"))
        self.model = EditPredictor(settings.network, cache.settings.n_mels)
        self.model.encoder.set_scale(*scale_of(self.model, cache, self.rows))
        self.model.to(device)
        self.class_weights = class_weights(cache, self.rows, settings.class_power).to(device)
        self.modules: dict[str, nn.Module] = {"model": self.model}
        optimiser = adamw(self.model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        self.optimisers: dict[str, torch.optim.Optimizer] = {"adamw": optimiser}
        self.learner = Learner(optimiser, settings.clip)

    def draw(self, items: np.ndarray, step: int) -> Batch:
        """Draw a window of each item."""
        return draw_batch(self.cache, self.rows[items], self.settings.network.n_frames, None)

    def learn(self, batch: Batch, step: int) -> dict[str, float]:
        """Train on windows."""
        settings, batch = self.settings, batch.to(self.device)
        logits = self.model.train()(batch.raw, batch.beat_of_frame, batch.labels.shape[1])
        loss = functional.cross_entropy(
            logits[..., :N_LABELS].flatten(0, 1),
            batch.labels.flatten(),
            weight=self.class_weights,
            ignore_index=Label.PAD,
            label_smoothing=settings.label_smoothing,
        )
        share = 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.n_steps)))
        rise = min(1.0, (step + 1) / max(1, settings.warmup_steps))
        set_rate(self.optimisers["adamw"], settings.learning_rate * rise * (0.05 + 0.95 * share))
        return self.learner.descend({"loss": loss})

    def evaluate(self) -> dict[str, float]:
        """Return accuracy, macro-F1 and balanced accuracy on the validation pairs; nothing where there are none."""
        rows = self.cache.rows("validation")
        if not len(rows):
            return {}
        scored = score_split(self.cache, rows, {"imitation": by_policy(self.model.eval())}, judge_labels)
        table = np.sum(list(scored["confusion"]), axis=0)
        scores = {"accuracy": accuracy, "macro_f1": macro_f1, "balanced_accuracy": balanced_accuracy}
        return {f"validation_{name}": score(table) for name, score in scores.items()}


@torch.no_grad()
def scale_of(model: EditPredictor, cache: PairCache, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation over beats of what a policy hears before it has learned anything."""
    count, total, square = 0, torch.zeros(()), torch.zeros(())
    for row in rows:
        batch = whole_batch([cache.pair(int(row))])
        heard = model.encoder.hear(batch.raw, batch.beat_of_frame, batch.labels.shape[1])[0][0].double()
        count, total, square = count + len(heard), total + heard.sum(0), square + heard.square().sum(0)
    mean = total / count
    return mean.float(), square_root((square / count - mean.square()).clamp(min=0)).float()


def class_weights(cache: PairCache, rows: np.ndarray, power: float) -> Tensor:
    """Return a weight for each of the seven labels, float32: frequency to minus ``power``, 1 for a beat on average."""
    counts = sum(np.bincount(cache.pair(int(row)).labels, minlength=N_LABELS) for row in rows)
    weights = np.maximum(counts, 1.0) ** -power
    return torch.tensor(weights * counts.sum() / (weights * counts).sum(), dtype=torch.float32)


def measure_imitation(cache: PairCache, model: EditPredictor, seed: int, n_bootstrap: int) -> dict:
    """Return what `summarise_labels` says of the policy and of who knows nothing, on the test pairs.

    Raises:
        TrainingError: no test pairs.
    """
    rows = cache.rows("test")
    if not len(rows):
        raise TrainingError(STAGE, expected="test pairs", found="none")
    methods = {"imitation": by_policy(model)} | baselines(cache)
    return summarise_labels(score_split(cache, rows, methods, judge_labels), STAGE, seed, n_bootstrap)


def train_imitation(
    cache: PairCache,
    settings: ImitationSettings,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    health: HealthSettings | None = None,
) -> tuple[EditPredictor, list[dict]]:
    """Train on the train pairs, going on from the checkpoint where there is one.

    Returns:
        The model, frozen and in evaluation mode, and one row of losses and scores for each epoch.

    Raises:
        TrainingError: no train pairs.
    """
    n_items = len(cache.rows("train"))
    if not n_items:
        raise TrainingError(STAGE, expected="train pairs", found="none")
    task = ImitationTask(cache, settings, seed, device, settings.loop.n_steps(n_items))
    history = fit(task, settings.loop, n_items, seed=seed, name=STAGE, checkpoint=checkpoint, health=health)
    return task.model.requires_grad_(False).eval(), history
