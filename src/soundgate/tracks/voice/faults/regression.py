"""A small mel-to-mel regression, as an architecture of its own to plant faults in: take noise off spectrograms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.features import LogMel
from soundgate.training.health.seen import Seen
from soundgate.training.learner import Learner
from soundgate.training.optimisers import adamw

_CROP_S, _WIDTH, _NOISE = 0.5, 24, 0.5
# Of log-mel magnitudes of speech at the cache's loudness, roughly.
_MEAN, _DEVIATION = -5.0, 2.5
Alter = Callable[[Tensor], Tensor]


class Regression:
    """Items are the utterances of the training split; see `soundgate.training.task.Task`.

    Args:
        cache: the utterances.
        seed: of the weights.
        learning_rate: of AdamW.

    Attributes:
        sound: what is done to waveforms [B, T] before anything else.
        inputs: what is done to the network's inputs [B, n_mels, L].
        targets: what is done to its targets, of the same shape.
        loss: what is done to the loss.
    """

    def __init__(self, cache: VoiceCache, seed: int, learning_rate: float) -> None:
        torch.manual_seed(seed)
        self.cache, self.rows = cache, cache.rows("train")
        bands = cache.settings.n_mels
        self.log_mel = LogMel(cache.settings)
        self.network = nn.Sequential(
            nn.Conv1d(bands, _WIDTH, 5, padding=2), nn.BatchNorm1d(_WIDTH), nn.ReLU(), nn.Dropout(0.1),
            nn.Conv1d(_WIDTH, _WIDTH, 5, padding=2), nn.ReLU(), nn.Conv1d(_WIDTH, bands, 5, padding=2),
        )  # fmt: skip
        self.modules = {"network": self.network}
        self.optimisers = {"adamw": adamw(self.network.parameters(), learning_rate, weight_decay=0.01)}
        self.learner = Learner(self.optimisers["adamw"], clip=1.0)
        self.sound, self.inputs, self.targets, self.loss = ([] for _ in range(4))
        self._latest: tuple[Tensor, Tensor, Tensor, Tensor] | None = None

    def step(self, items: np.ndarray, step: int) -> dict[str, float]:
        """Take a step on a crop of each utterance."""
        n_samples = round(_CROP_S * self.cache.settings.sample_rate)
        wav = _altered(self.cache.batch(self.rows[items], n_samples, torch.default_generator).wav, self.sound)
        clean = (self.log_mel(wav) - _MEAN) / _DEVIATION
        noisy = _altered(clean + _NOISE * torch.randn_like(clean), self.inputs)
        clean = _altered(clean, self.targets)
        made = self.network(noisy)
        loss = _altered((made - clean).abs().mean(), self.loss)
        self._latest = wav, noisy, clean, made.detach()
        return self.learner.descend({"loss": loss})

    def seen(self) -> Seen:
        """Return the last step's batch."""
        wav, _, clean, made = self._latest
        return Seen(sound=wav, outputs=made, targets=clean)

    def losses(self) -> dict[str, float]:
        """Return the loss of the present batch once more."""
        _, noisy, clean, _ = self._latest
        return {"loss": float((self.network(noisy) - clean).abs().mean())}

    def evaluate(self) -> dict[str, float]:
        """Nothing: what is asked is what the monitor sees."""
        return {}


def _altered(values: Tensor, alterations: list[Alter]) -> Tensor:
    for alter in alterations:
        values = alter(values)
    return values
