"""Small policies, their settings, and a reconstruction that is known."""

from types import SimpleNamespace

import numpy as np
import torch

from soundgate.tracks.editor.policy.imitate import (
    scale_of,
)
from soundgate.tracks.editor.policy.model import (
    EditPredictor,
)
from soundgate.tracks.editor.policy.ppo import Frozen, PpoTask
from soundgate.tracks.editor.policy.settings import NetworkSettings, PolicySettings, RewardWeights
from soundgate.tracks.editor.vocabulary import Label
from soundgate.tracks.editor.windows import draw_batch
from tests.tracks.editor.planted import FEATURES

CPU = torch.device("cpu")
NETWORK = {"channels": 8, "dim": 16, "n_layers": 1, "n_heads": 2, "n_lags": 4, "dropout": 0.1, "n_frames": 96}
IMITATION = {
    "network": NETWORK, "learning_rate": 0.01, "warmup_steps": 2, "weight_decay": 0.01, "clip": 1.0,
    "label_smoothing": 0.05, "class_power": 0.5, "n_bootstrap": 100,
    "loop": {"epochs": 2, "batch_size": 6, "steps_per_epoch": 25, "checkpoint_s": 1e-9},
}  # fmt: skip
PPO = {
    "loop": {"epochs": 1, "batch_size": 6, "steps_per_epoch": 40, "checkpoint_s": 1e-9}, "learning_rate": 0.01,
    "clip": 0.2, "gamma": 0.99, "gae_lambda": 0.95, "entropy": 0.01, "value": 0.5, "n_epochs": 4,
    "max_grad_norm": 0.5, "kl_stop": 0.1, "value_warmup": 0, "average": 0.5, "advantage": "bandit", "ratio": "beat",
}  # fmt: skip
POLICY = {
    "network": NETWORK, "ppo": PPO, "n_bootstrap": 100,
    "reward": {"reconstruction": 10, "labels": 5, "duration": 3, "smoothness": 2},
}  # fmt: skip
WEIGHTS = RewardWeights(**POLICY["reward"])


class Cutter(torch.nn.Module):
    """A reconstruction that executes cuts and nothing else."""

    settings = SimpleNamespace(n_frames=10_000)

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, raw, frame_labels):
        return raw * (frame_labels != Label.CUT)[..., None]


def steps(task, n):
    """Take steps on six of the train pairs each."""
    for step in range(n):
        torch.manual_seed(step)
        last = task.step(np.random.default_rng(step).permutation(len(task.rows))[:6], step)
    return last


def network(**changes):
    return NetworkSettings(**NETWORK | changes)


def predictor(**changes):
    torch.manual_seed(0)
    return EditPredictor(network(**changes), FEATURES.n_mels).eval()


def ppo_task(cache, n_steps=40, **changes):
    settings = PolicySettings.model_validate(POLICY | {"ppo": PPO | changes})
    untrained = predictor()
    untrained.encoder.set_scale(*scale_of(untrained, cache, cache.rows("train")))
    return PpoTask(Frozen(cache, untrained, Cutter()), settings, 0, n_steps)


def batch(cache, rows=(0, 1, 2)):
    torch.manual_seed(1)
    return draw_batch(cache, np.array(rows), 96)
