"""Trainings of the judges, on speakers that nothing else is trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
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

STAGE = "voice-judge"


class _JudgeTask:
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

    def step(self, items: np.ndarray, step: int) -> dict[str, float]:
        """Train on several utterances of each speaker."""
        n_own = self.settings.per_speaker
        rows = np.concatenate([self._draw(self.own_rows[item // len(self.speeds)], n_own) for item in items])
        which = (items % len(self.speeds)).repeat(n_own)
        wav = self.speeds.crops(self.cache, rows, which, self.n_samples, torch.default_generator)
        spectrum = self.settings.augment.spectrum(self.encoder.cepstra.spectrum(wav.to(self.device)))
        own = spectrum.unflatten(0, (len(items), n_own))[own_share(len(items))]
        embeddings = self.encoder.embed(own.flatten(0, 1)).unflatten(0, (len(own), n_own))
        loss, accuracy = self.objective(whole_batch(embeddings))
        return self._descend({"loss": loss, "accuracy": accuracy}, step)

    @staticmethod
    def _draw(rows: np.ndarray, count: int) -> np.ndarray:
        """Draw utterances, different ones as far as there are enough."""
        rounds = [torch.randperm(len(rows)).numpy() for _ in range(-(-count // len(rows)))]
        return rows[np.concatenate(rounds)[:count]]


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

    def step(self, items: np.ndarray, step: int) -> dict[str, float]:
        """Train on a crop of each utterance, all at one speed."""
        rows, which = self.rows[items], int(torch.randint(len(self.speeds), ()))
        speed = self.speeds.speeds[which]
        wav = self.cache.batch(rows, round(self.n_samples * speed), torch.default_generator).wav
        units = self.teacher(wav, torch.stack([self.known[code] for code in self.cache.speaker_codes[rows]]))
        spectrum = self.classifier.cepstra.spectrum(self.speeds.apply(wav, which).to(self.device))
        own = own_share(len(items))
        logs = self.classifier.classify(self.settings.augment.spectrum(spectrum)[own])
        units = units[own, at_speed(logs.shape[1], speed, units.shape[1])].to(self.device)
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
