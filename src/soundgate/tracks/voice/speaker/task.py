"""Training of the speaker encoder: who of the training speakers, and at which speed, is speaking?"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from accelerate.utils import send_to_device
from torch import Tensor

from soundgate.runtime.randomness import keyed_generator, keyed_seed
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.embeddings.embed import embed_rows
from soundgate.tracks.voice.embeddings.similarity import figures_json, pairs_of, speaker_figures
from soundgate.tracks.voice.speaker.model import SpeakerEncoder
from soundgate.tracks.voice.speaker.objective import AdditiveMargin
from soundgate.tracks.voice.speaker.settings import SpeakerSettings
from soundgate.tracks.voice.speeds import Speeds
from soundgate.training.distribution import own_share
from soundgate.training.health.seen import Seen
from soundgate.training.health.settings import HealthSettings
from soundgate.training.learner import Learner
from soundgate.training.loop import fit
from soundgate.training.optimisers import adamw
from soundgate.training.schedule import set_rate, warm_cosine
from soundgate.training.task import DrawnTask

STAGE = "voice-speaker"
# Share of the training over which the margin grows.
_MARGIN_SHARE = 1 / 3


class Batch(NamedTuple):
    """This process's share of a step's crops.

    Args:
        wav: float32 [B, T].
        classes: int64 [B], speaker and speed.
    """

    wav: Tensor
    classes: Tensor


class SpeakerTask(DrawnTask):
    """Items are the utterances of the training split; every speaker counts once at each speed.

    Args:
        cache: of the utterances.
        settings: see `SpeakerSettings`.
        seed: of the weights.
        n_steps: of the whole training, for the schedules.
        device: to compute on.
    """

    def __init__(
        self, cache: VoiceCache, settings: SpeakerSettings, seed: int, n_steps: int, device: torch.device
    ) -> None:
        self.cache, self.settings, self.n_steps, self.device = cache, settings, n_steps, device
        self.rows, self.speeds = cache.rows("train"), Speeds(settings.augment.speeds)
        self.codes = np.unique(cache.speaker_codes[self.rows], return_inverse=True)[1]
        torch.manual_seed(keyed_seed(seed, STAGE, "weights"))
        self.encoder = SpeakerEncoder(settings.network, cache.settings).to(device)
        n_classes = (int(self.codes.max()) + 1) * len(self.speeds)
        self.head = AdditiveMargin(n_classes, settings.network.dim, settings.scale).to(device)
        self.modules = {"encoder": self.encoder, "head": self.head}
        parameters = [*self.encoder.parameters(), *self.head.parameters()]
        optimiser = adamw(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
        self.optimisers = {"adamw": optimiser}
        self.learner = Learner(optimiser, settings.clip)

    def draw(self, items: np.ndarray, step: int) -> Batch:
        """Draw a crop of each utterance at a speed drawn for it."""
        which, own = torch.randint(len(self.speeds), (len(items),)).numpy(), own_share(len(items))
        n_samples = round(self.settings.crop_s * self.cache.settings.sample_rate)
        wav = self.speeds.crops(self.cache, self.rows[items], which, n_samples, torch.default_generator, own)
        return Batch(wav, torch.from_numpy(self.codes[items] * len(self.speeds) + which)[own])

    def learn(self, batch: Batch, step: int) -> dict[str, float]:
        """Train on crops, heard through drawn microphones."""
        settings = self.settings
        wav, classes = send_to_device(batch, self.device, non_blocking=True)
        spectrum = settings.augment.spectrum(self.encoder.log_mel(wav))
        embeddings = self.encoder.embed(spectrum)
        margin = settings.margin * min(1.0, step / self.n_steps / _MARGIN_SHARE)
        loss, accuracy = self.head(embeddings, classes, margin)
        self._latest = batch.wav, spectrum, classes, embeddings.detach(), margin
        share = warm_cosine(step, self.n_steps, warm_up=settings.warm_up, final=settings.final_rate)
        set_rate(self.optimisers["adamw"], settings.learning_rate * share)
        return self.learner.descend({"loss": loss, "accuracy": accuracy})

    def seen(self) -> Seen:
        """Return the last step's batch, for the health monitor."""
        wav, _, classes, embeddings, _ = self._latest
        return Seen(sound=wav, labels=classes, groups=classes % len(self.speeds), outputs=embeddings)

    def losses(self) -> dict[str, float]:
        """Return the loss of the present batch once more, for the health monitor."""
        _, spectrum, classes, _, margin = self._latest
        return {"loss": float(self.head(self.encoder.embed(spectrum), classes, margin)[0])}

    def evaluate(self) -> dict[str, float]:
        """Return the mean similarities of the validation utterances, whose speakers are those of the training."""
        rows = self.cache.rows("validation")
        embeddings = embed_rows(self.encoder, self.cache, rows, self.settings.crop_s)
        pairs = pairs_of(embeddings, self.cache.speaker_codes[rows])
        means = {"same": pairs.similarity[pairs.same], "different": pairs.similarity[~pairs.same]}
        return {f"validation_{name}": float(own.mean()) for name, own in means.items() if len(own)}


def train_speaker(
    cache: VoiceCache,
    settings: SpeakerSettings,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    health: HealthSettings | None = None,
) -> tuple[SpeakerEncoder, list[dict]]:
    """Train, going on from the checkpoint where there is one.

    Returns:
        The encoder, and one row of losses for each epoch.
    """
    n_items = len(cache.rows("train"))
    task = SpeakerTask(cache, settings, seed, settings.loop.n_steps(n_items), device)
    history = fit(task, settings.loop, n_items, seed=seed, name=STAGE, checkpoint=checkpoint, health=health)
    return task.encoder.eval(), history


def measure_speaker(encoder: SpeakerEncoder, cache: VoiceCache, settings: SpeakerSettings, seed: int) -> dict:
    """Return the encoder's size, and its figures on known speakers' other utterances; see `speaker_figures`."""
    rows = cache.rows("validation")
    embeddings = embed_rows(encoder, cache, rows, settings.crop_s)
    generator = keyed_generator(seed, STAGE, "bootstrap")
    speakers = cache.speaker_codes[rows]
    figures = speaker_figures(embeddings, speakers, generator, settings.n_bootstrap)
    return {
        "n_parameters": sum(parameter.numel() for parameter in encoder.parameters()),
        "n_speakers": len(cache.speakers("train")),
        "validation": figures_json(figures),
    }
