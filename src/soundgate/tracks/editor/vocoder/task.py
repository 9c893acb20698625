"""Training of the vocoder: crops of recordings become frames, and the frames are to become the crops again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.editor.features import Features, FeatureSettings
from soundgate.tracks.editor.vocoder.measures import STAGE, figures, stft_loss
from soundgate.tracks.editor.vocoder.model import VocoderNetwork
from soundgate.tracks.editor.vocoder.settings import VocoderSettings
from soundgate.tracks.editor.vocoder.waves import Waves
from soundgate.training.distribution import own_share
from soundgate.training.health.settings import HealthSettings
from soundgate.training.learner import Learner
from soundgate.training.loop import fit
from soundgate.training.optimisers import adamw
from soundgate.training.schedule import set_rate, warm_cosine
from soundgate.training.task import DrawnTask

_PROBED = 8


class VocoderTask(DrawnTask):
    """Items are the recordings of the training split, raw and edited alike.

    A crop is a short recording of its own: silent beyond its ends, which is also what the network's padding says.

    Args:
        waves: all recordings.
        features: what the frames are.
        settings: see `VocoderSettings`.
        seed: of the weights.
        n_steps: of the whole training, for the schedule.
        device: to compute on.
    """

    def __init__(
        self,
        waves: Waves,
        features: FeatureSettings,
        settings: VocoderSettings,
        seed: int,
        n_steps: int,
        device: torch.device,
    ) -> None:
        self.waves, self.settings, self.n_steps, self.device = waves, settings, n_steps, device
        self.rows, self.features = waves.rows("train"), Features(features)
        self.n_samples = (settings.crop_frames - 1) * features.hop_length
        torch.manual_seed(keyed_seed(seed, STAGE, "weights"))
        self.network = VocoderNetwork(settings.network, features).to(device)
        self.modules = {"network": self.network}
        optimiser = adamw(self.network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        self.optimisers = {"adamw": optimiser}
        self.learner = Learner(optimiser, settings.clip)
        self.spectra = stft_loss()
        held_out = waves.rows("validation")[: settings.n_evaluated]
        heard = [waves.middle(row, self.n_samples) for row in held_out]
        self.evaluated = torch.stack([
            torch.from_numpy(np.pad(wave, (0, self.n_samples - len(wave)))) for wave in heard
        ]) if heard else None  # fmt: skip

    def draw(self, items: np.ndarray, step: int) -> Tensor:
        """Draw a crop of each recording, float32 [B, T] of this process's share."""
        return self.waves.crops(self.rows[items], self.n_samples, own_share(len(items)))

    def learn(self, batch: Tensor, step: int) -> dict[str, float]:
        """Train on crops."""
        truth = batch.to(self.device, non_blocking=True)
        unit = self.features.of_batch(truth)
        made = self.network(unit)
        stft, convergence, *_ = self.spectra(made[:, None], truth[:, None])
        mel = (self.features.of_batch(made) - unit).abs().mean()
        loss = self.settings.weights.mel * mel + self.settings.weights.stft * stft
        share = warm_cosine(step, self.n_steps, warm_up=self.settings.warm_up, final=self.settings.final_rate)
        set_rate(self.optimisers["adamw"], self.settings.learning_rate * share)
        losses = {"loss": loss, "stft": stft, "convergence": torch.stack(convergence).mean(), "mel_l1_db": mel}
        means = self.learner.descend(losses)
        return means | {"mel_l1_db": means["mel_l1_db"] * self.features.settings.range_db}

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return the figures of held-out crops, ``validation_`` before their names; see `figures`."""
        if self.evaluated is None:
            return {}
        truth = self.evaluated.to(self.device)
        own = figures(self.features, self.network(self.features.of_batch(truth)), truth)
        return {f"validation_{name}": value for name, value in own.items()}

    @torch.no_grad()
    def probe(self) -> dict[str, float]:
        """Return what the health monitor watches, on held-out crops that are always the same.

        ``pairwise_ratio``: distance between the frames of different outputs over that between those of the crops.
        """
        if self.evaluated is None or len(self.evaluated) < 2:
            return {}
        truth = self.features.of_batch(self.evaluated[:_PROBED].to(self.device))
        made = self.features.of_batch(self.network(truth))
        apart = [torch.pdist(frames.flatten(1), p=1).mean() for frames in (made, truth)]
        return {"pairwise_ratio": float(apart[0] / apart[1].clamp(min=1e-8))}


def train_vocoder(
    waves: Waves,
    features: FeatureSettings,
    settings: VocoderSettings,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    health: HealthSettings | None = None,
) -> tuple[VocoderNetwork, list[dict]]:
    """Train, going on from the checkpoint where there is one.

    Returns:
        The network, and one row of losses for each epoch.

    Raises:
        CorpusError: no recording to train on.
    """
    n_items = len(waves.rows("train"))
    if not n_items:
        raise CorpusError(STAGE, expected="recordings of at least three groups", found="none in the training split")
    task = VocoderTask(waves, features, settings, seed, settings.loop.n_steps(n_items), device)
    history = fit(task, settings.loop, n_items, seed=seed, name=STAGE, checkpoint=checkpoint, health=health)
    return task.network, history
