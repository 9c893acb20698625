"""A small adversarial training: two speakers' points, moved from one to the other; every side's tricks are in it."""

import copy

import torch
from ruamel.yaml import YAML
from torch import nn
from torch.nn import functional

from soundgate.training.finite import require_finite
from soundgate.training.health.settings import HealthSettings
from soundgate.training.loop import LoopSettings, fit
from tests.pipeline_file import ROOT

LOOP = LoopSettings(epochs=3, batch_size=8, steps_per_epoch=20, checkpoint_s=1e9)
EVERY_STEP = LOOP.model_copy(update={"checkpoint_s": 1e-9})
N_ITEMS = 64


def health(**changes):
    """Return the section as it stands in conf, a check every 4 steps however few they are, less what a test changes."""
    values = YAML(typ="safe").load((ROOT / "conf" / "health.yaml").read_text())
    thresholds = values.pop("thresholds") | changes.pop("thresholds", {})
    return HealthSettings(**values | {"interval": 4, "least_checks": 1} | changes, thresholds=thresholds)


class Discriminator(nn.Module):
    """Two sub-discriminators, as MPD and MRD have more."""

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList(nn.Sequential(nn.Linear(4, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1)) for _ in "ab")

    def forward(self, points):
        return torch.cat([part(points) for part in self.parts], dim=1)


class Generator(nn.Module):
    """Dropout, which draws, and batch norm, whose buffers change in training mode."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(16, 4)

    def forward(self, points):
        return points + self.head(self.body(points))


class Duel:
    """``every``: steps between the discriminator's; ``start``: its first. ``bad``: steps with a batch that is NaN."""

    def __init__(self, every=2, start=6, bad=(), stop_at=None):
        torch.manual_seed(0)
        self.generator, self.discriminator = Generator(), Discriminator()
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.modules = {
            "generator": self.generator, "discriminator": self.discriminator, "average": self.average,
        }  # fmt: skip
        self.optimisers = {
            "generator": torch.optim.AdamW(self.generator.parameters(), 1e-3),
            "discriminator": torch.optim.AdamW(self.discriminator.parameters(), 1e-3),
        }
        self.every, self.start, self.bad, self.stop_at = every, start, bad, stop_at
        self.data = torch.randn(N_ITEMS, 4)
        self.probed = 0

    def step(self, rows, step):
        if step == self.stop_at:
            raise KeyboardInterrupt
        self.generator.train()
        real = self.data[rows] + 0.01 * torch.randn(len(rows), 4)
        if step in self.bad:
            real = real * torch.nan
        require_finite({"batch": real.sum()})  # Batch norm would keep it.
        made = self.generator(real)
        reconstruction = functional.l1_loss(made, real + 1)
        losses = {}
        if step >= self.start and step % self.every == 0:
            own, other = self.discriminator(real + 1), self.discriminator(made.detach())
            loss = functional.relu(1 - own).mean() + functional.relu(1 + other).mean()
            self._descend("discriminator", loss)
            losses["discriminator"] = float(loss.detach())
        self.discriminator.requires_grad_(False)
        adversarial = -self.discriminator(made).mean()
        self._descend("generator", reconstruction + 0.1 * adversarial)
        self.discriminator.requires_grad_(True)
        with torch.no_grad():
            for average, own in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                average.lerp_(own, 0.01)
        losses |= {"reconstruction": float(reconstruction.detach()), "adversarial": float(adversarial.detach())}
        return losses

    def evaluate(self):
        return {"test": float(self.average.eval()(self.data).abs().mean())}

    def probe(self):
        self.probed += 1
        # Dropout draws and batch norm counts where a network is not in evaluation mode.
        made = self.generator(self.data[:8])
        return {"pairwise_ratio": torch.pdist(made).mean() / torch.pdist(self.data[:8]).mean(), "drawn": torch.rand(())}

    def _descend(self, name, loss):
        self.optimisers[name].zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.modules[name].parameters(), 1.0)
        self.optimisers[name].step()


def train(task, path, watched=None, loop=LOOP, folder=None):
    """Train it, its checkpoint at ``path``."""
    return fit(
        task, loop, N_ITEMS, seed=1, name="duel", checkpoint=path, health=watched, diagnostics=folder
    )  # fmt: skip
