"""Trainings of three architectures, with handles that faults are planted by."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.faults.regression import Regression
from soundgate.tracks.voice.faults.settings import FaultSettings
from soundgate.tracks.voice.gan.batches import Batch
from soundgate.tracks.voice.gan.task import GanTask
from soundgate.tracks.voice.speaker.model import SpeakerEncoder
from soundgate.tracks.voice.speaker.task import SpeakerTask
from soundgate.training.learner import Learner
from soundgate.training.task import Task

Alter = Callable[[Tensor], Tensor]


class Material(NamedTuple):
    """What all trainings are made of.

    Args:
        cache: utterances to train on.
        speaker: the speaker encoder that the GAN listens with.
        settings: see `FaultSettings`.
    """

    cache: VoiceCache
    speaker: SpeakerEncoder
    settings: FaultSettings


class Rig(ABC):
    """A training and its handles.

    Args:
        task: what is trained.
        network: what learns first of all.
        output: the part whose output is the network's.
        rectified: the layer before a rectifier.
        optimiser: the network's.
        learner: likewise.
    """

    def __init__(
        self, task: Task, network: nn.Module, output: nn.Module, rectified: nn.Module, optimiser: Optimizer,
        learner: Learner,
    ) -> None:  # fmt: skip
        self.task, self.network, self.output, self.rectified = task, network, output, rectified
        self.optimiser, self.learner = optimiser, learner

    @abstractmethod
    def on_sound(self, alter: Alter) -> None:
        """Alter the waveforms [B, T] of every further batch."""

    @abstractmethod
    def on_loss(self, alter: Alter) -> None:
        """Alter the loss of every further step."""


class RegressionRig(Rig):
    """`Regression`."""

    task: Regression

    def __init__(self, material: Material, seed: int) -> None:
        task = Regression(material.cache, seed, material.settings.learning_rate)
        network = task.network
        super().__init__(task, network, network[-1], network[4], task.optimisers["adamw"], task.learner)

    def on_sound(self, alter: Alter) -> None:
        """Alter the waveforms [B, T] of every further batch."""
        self.task.sound.append(alter)

    def on_loss(self, alter: Alter) -> None:
        """Alter the loss of every further step."""
        self.task.loss.append(alter)


class _Altered:
    """Crops as `soundgate.tracks.voice.speeds.Speeds` gives them, altered."""

    def __init__(self, speeds: object, alter: Alter) -> None:
        self._speeds, self._alter = speeds, alter

    def __len__(self) -> int:
        return len(self._speeds)

    def crops(self, *arguments: object) -> Tensor:
        return self._alter(self._speeds.crops(*arguments))


class EncoderRig(Rig):
    """The speaker encoder."""

    task: SpeakerTask

    def __init__(self, material: Material, seed: int) -> None:
        own = material.settings
        task = SpeakerTask(material.cache, own.encoder, seed, own.n_steps("encoder"), torch.device("cpu"))
        encoder = task.encoder
        super().__init__(task, encoder, encoder.head, encoder.last[1], task.optimisers["adamw"], task.learner)

    def on_sound(self, alter: Alter) -> None:
        """Alter the waveforms [B, T] of every further batch."""
        self.task.speeds = _Altered(self.task.speeds, alter)

    def on_loss(self, alter: Alter) -> None:
        """Alter the loss of every further step."""
        self.task.head.register_forward_hook(lambda _head, _inputs, found: (alter(found[0]), found[1]))


class GanRig(Rig):
    """The converter against its discriminators."""

    task: GanTask

    def __init__(self, material: Material, seed: int) -> None:
        own = material.settings
        speaker = copy.deepcopy(material.speaker)
        task = GanTask(material.cache, speaker, own.train, seed, own.n_steps("gan"), torch.device("cpu"))
        network = task.converter
        super().__init__(
            task, network, network, network.decoder, task.optimisers["generator"], task.learners["generator"]
        )

    def on_sound(self, alter: Alter) -> None:
        """Alter the waveforms [B, T] of every further batch."""
        draw = self.task.batches.draw

        def altered(items: np.ndarray) -> Batch:
            batch = draw(items)
            return batch._replace(utterances=batch.utterances._replace(wav=alter(batch.utterances.wav)))

        self.task.batches.draw = altered

    def on_loss(self, alter: Alter) -> None:
        """Alter the spectral losses of every further step."""
        self.task.spectra.register_forward_hook(
            lambda _spectra, _inputs, losses: {name: alter(loss) for name, loss in losses.items()}
        )


ARCHITECTURES: Mapping[str, Callable[[Material, int], Rig]] = {
    "gan": GanRig, "encoder": EncoderRig, "regression": RegressionRig
}  # fmt: skip
