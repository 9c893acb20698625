"""Trainings of the judges, on speakers that nothing else is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.nn import functional

from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.judge.encoder import EndToEnd, JudgeEncoder
from soundgate.tracks.voice.judge.settings import JudgeSettings, TrainSettings
from soundgate.tracks.voice.judge.units import Teacher, UnitClassifier, fit_units, normalisers
from soundgate.tracks.voice.speeds import Speeds
from soundgate.training.distribution import own_share, whole_batch
from soundgate.training.health.settings import HealthSettings
from soundgate.training.learner import Learner
from soundgate.training.loop import fit
from soundgate.training.optimisers import adamw
from soundgate.training.schedule import set_rate, warm_cosine
from soundgate.training.task import DrawnTask

STAGE = "voice-judge"


class _JudgeTask(DrawnTask):
    """What both trainings share: the utterances, speeds, and an optimiser with its schedule."""

    def __init__(
        self,
        cache: VoiceCache,
        settings: JudgeSettings,
        train: TrainSettings,
        modules: dict[str, nn.Module],
        n_items: int,
    ) -> None:
        self.cache, self.settings, self.train, self.modules = cache, settings, train, modules
        self.rows, self.speeds = cache.rows("judge"), Speeds(settings.augment.speeds)
        self.n_samples = round(settings.crop_s * cache.settings.sample_rate)
        self.n_steps = train.loop.n_steps(n_items)
        parameters = [parameter for module in modules.values() for parameter in module.parameters()]
        optimiser = adamw(parameters, train.learning_rate, weight_decay=train.weight_decay)
        self.optimisers = {"adamw": optimiser}
        self.learner = Learner(optimiser, train.clip)

    def evaluate(self) -> dict[str, float]:
        """Nothing: the judges are measured once, when they are trained."""
        return {}

    def _descend(self, losses: dict[str, Tensor], step: int) -> dict[str, float]:
        train = self.train
        share = warm_cosine(step, self.n_steps, warm_up=train.warm_up, final=train.final_rate)
        set_rate(self.optimisers["adamw"], train.learning_rate * share)
        return self.learner.descend(losses)


class EncoderTask(_JudgeTask):
    """Items are the speakers of the split ``judge``, each at each speed.

    Args:
        cache: of the utterances.
        settings: see `JudgeSettings`.
        seed: of the weights.
        device: to compute on.
    """

    def __init__(self, cache: VoiceCache, settings: JudgeSettings, seed: int, device: torch.device) -> None:
        torch.manual_seed(keyed_seed(seed, STAGE, "weights of the encoder"))
        self.encoder = JudgeEncoder(settings.encoder, cache.settings).to(device)
        self.objective = EndToEnd().to(device)
        codes = cache.speaker_codes[cache.rows("judge")]
        self.own_rows = [cache.rows("judge")[codes == code] for code in np.unique(codes)]
        self.n_items, self.device = len(self.own_rows) * len(settings.augment.speeds), device
        modules = {"encoder": self.encoder, "objective": self.objective}
        super().__init__(cache, settings, settings.encoder_train, modules, self.n_items)

    def draw(self, items: np.ndarray, step: int) -> Tensor:
        """Draw crops of several utterances of each speaker, float32 [B, per_speaker, T] of this process's share."""
        n_own, share = self.settings.per_speaker, own_share(len(items))
        rows = np.concatenate([self._draw(self.own_rows[item // len(self.speeds)], n_own) for item in items])
        which = (items % len(self.speeds)).repeat(n_own)
        own = slice(share.start * n_own, share.stop * n_own)
        wav = self.speeds.crops(self.cache, rows, which, self.n_samples, torch.default_generator, own)
        return wav.unflatten(0, (-1, n_own))

    def learn(self, batch: Tensor, step: int) -> dict[str, float]:
        """Train on crops, heard through drawn microphones."""
        wav = batch.to(self.device, non_blocking=True).flatten(0, 1)
        spectrum = self.settings.augment.spectrum(self.encoder.cepstra.spectrum(wav))
        embeddings = self.encoder.embed(spectrum).unflatten(0, batch.shape[:2])
        loss, accuracy = self.objective(whole_batch(embeddings))
        return self._descend({"loss": loss, "accuracy": accuracy}, step)

    @staticmethod
    def _draw(rows: np.ndarray, count: int) -> np.ndarray:
        """Draw utterances, different ones as far as there are enough."""
        rounds = [torch.randperm(len(rows)).numpy() for _ in range(-(-count // len(rows)))]
        return rows[np.concatenate(rounds)[:count]]


class Units(NamedTuple):
    """This process's share of a step's crops.

    Args:
        wav: float32 [B, T].
        units: int64 [B, L], of their frames.
    """

    wav: Tensor
    units: Tensor


class UnitTask(_JudgeTask):
    """Items are the utterances of the split ``judge``; at another speed they have the same units, sooner or later.

    Args:
        cache: of the utterances.
        settings: see `JudgeSettings`.
        teacher: says which units are right.
        seed: of the weights.
        device: to compute on.
    """

    def __init__(
        self, cache: VoiceCache, settings: JudgeSettings, teacher: Teacher, seed: int, device: torch.device
    ) -> None:
        torch.manual_seed(keyed_seed(seed, STAGE, "weights of the units"))
        self.classifier, self.teacher, self.device = (
            UnitClassifier(settings.units, cache.settings).to(device), teacher, device
        )  # fmt: skip
        rows = cache.rows("judge")
        self.known = normalisers(teacher.cepstra, cache, rows)
        super().__init__(cache, settings, settings.units_train, {"classifier": self.classifier}, len(rows))

    def draw(self, items: np.ndarray, step: int) -> Units:
        """Draw a crop of each utterance, all at one speed, and find its units."""
        rows, which, own = self.rows[items], int(torch.randint(len(self.speeds), ())), own_share(len(items))
        speed = self.speeds.speeds[which]
        n_samples = round(self.n_samples * speed)
        starts = self.cache.starts(rows, n_samples, torch.default_generator)
        wav = self.cache.crops(rows[own], starts[own], n_samples).wav
        units = self.teacher(wav, torch.stack([self.known[code] for code in self.cache.speaker_codes[rows[own]]]))
        wav = self.speeds.apply(wav, which)
        n_frames = self.cache.settings.n_frames(wav.shape[1])
        return Units(wav, units[:, at_speed(n_frames, speed, units.shape[1])])

    def learn(self, batch: Units, step: int) -> dict[str, float]:
        """Train on crops, heard through drawn microphones."""
        wav, units = send_to_device(batch, self.device, non_blocking=True)
        spectrum = self.settings.augment.spectrum(self.classifier.cepstra.spectrum(wav))
        logs = self.classifier.classify(spectrum)
        loss = functional.nll_loss(logs.mT, units)
        accuracy = (logs.argmax(dim=-1) == units).float().mean()
        return self._descend({"loss": loss, "accuracy": accuracy}, step)


def at_speed(n_frames: int, speed: float, n_original: int) -> np.ndarray:
    """Return which frame of a recording each frame of its copy at a speed was, int64 [n_frames]."""
    return np.minimum(np.rint(np.arange(n_frames) * speed), n_original - 1).astype(np.int64)


def train_encoder(
    cache: VoiceCache,
    settings: JudgeSettings,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    health: HealthSettings | None = None,
) -> tuple[JudgeEncoder, list[dict]]:
    """Train the judge of the speaker, going on from the checkpoint where there is one; return it and its history."""
    task = EncoderTask(cache, settings, seed, device)
    name = f"{STAGE}-encoder"
    loop = settings.encoder_train.loop
    history = fit(task, loop, task.n_items, seed=seed, name=name, checkpoint=checkpoint, health=health)
    return task.encoder.eval(), history


def train_units(
    cache: VoiceCache,
    settings: JudgeSettings,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    health: HealthSettings | None = None,
) -> tuple[UnitClassifier, Teacher, list[dict]]:
    """Find units and train their classifier, going on from the checkpoint where there is one.

    Returns:
        The classifier, the units' teacher, and one row of losses for each epoch.
    """
    rows = cache.rows("judge")
    teacher = fit_units(cache, rows, settings.units, seed, STAGE)
    task = UnitTask(cache, settings, teacher, seed, device)
    name = f"{STAGE}-units"
    loop = settings.units_train.loop
    history = fit(task, loop, len(rows), seed=seed, name=name, checkpoint=checkpoint, health=health)
    return task.classifier.eval(), teacher, history
