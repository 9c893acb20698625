"""Faults of a GAN's training, each as what really goes wrong would look to the training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from soundgate.tracks.voice.cache import Utterances
from soundgate.tracks.voice.gan.task import GanTask
from soundgate.tracks.voice.model.converter import Voices
from soundgate.training.adversarial import Verdict

_RATE, _GRADIENT = 100.0, 1e4


def scale_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Let every further step of an optimiser have a multiple of the learning rate that the schedule asks for."""
    asked: list[float] = []

    def before(*_: object) -> None:
        asked[:] = [group["lr"] for group in optimiser.param_groups]
        for group in optimiser.param_groups:
            group["lr"] *= factor

    def after(*_: object) -> None:
        for group, rate in zip(optimiser.param_groups, asked, strict=True):
            group["lr"] = rate

    optimiser.register_step_pre_hook(before)
    optimiser.register_step_post_hook(after)


def _rate(task: GanTask) -> None:
    scale_rate(task.optimisers["generator"], _RATE)


def _frozen_generator(task: GanTask) -> None:
    scale_rate(task.optimisers["generator"], 0.0)


def _constant_output(task: GanTask) -> None:
    """Whatever is said, and by whom: the same sound."""

    def mean_of_all(_module: nn.Module, _inputs: tuple, made: Tensor) -> Tensor:
        return made.mean(dim=0, keepdim=True).expand_as(made)

    task.converter.register_forward_hook(mean_of_all)


def _detached_conditioning(task: GanTask) -> None:
    """Nobody's voice is asked for."""

    def of_nobody(_module: nn.Module, inputs: tuple) -> tuple:
        utterances, voices, *more = inputs
        return utterances, Voices(torch.zeros_like(voices.embedding), *voices[1:]), *more

    task.converter.register_forward_pre_hook(of_nobody)


def _dead_discriminator(task: GanTask) -> None:
    """Scores that say nothing, so that nothing is learnt."""

    def silent(_module: nn.Module, _inputs: tuple, verdict: Verdict) -> Verdict:
        return Verdict([0 * logits for logits in verdict.logits], verdict.features)

    for critic in (task.critics.mpd, task.critics.mrd):
        critic.register_forward_hook(silent)


def _nan_batch(task: GanTask) -> None:
    """One batch that is not finite."""

    def spoilt(_module: nn.Module, inputs: tuple) -> tuple:
        handle.remove()  # One batch alone.
        utterances, *more = inputs
        assert isinstance(utterances, Utterances), type(utterances)
        return utterances._replace(wav=utterances.wav * torch.nan), *more

    handle = task.converter.register_forward_pre_hook(spoilt)


def _exploding_gradient(task: GanTask) -> None:
    for parameter in task.converter.parameters():
        if parameter.requires_grad:
            parameter.register_hook(lambda gradient: gradient * _GRADIENT)


# What each does to a task, and the rules that name it.
FAULTS: dict[str, tuple[Callable[[GanTask], None], tuple[str, ...]]] = {
    "rate_x100": (_rate, ("rate", "diverging", "exploding")),
    "frozen_generator": (_frozen_generator, ("frozen",)),
    "constant_output": (_constant_output, ("collapse",)),
    "detached_conditioning": (_detached_conditioning, ("conditioning",)),
    "dead_discriminator": (_dead_discriminator, ("vanished",)),
    "nan_batch": (_nan_batch, ("non_finite",)),
    "exploding_gradient": (_exploding_gradient, ("exploding",)),
}


class FaultyTask:
    """A task with a fault; see `soundgate.training.loop.Task`.

    Args:
        task: as it is without.
        fault: one of ``FAULTS``; None: there is none.
    """

    def __init__(self, task: GanTask, fault: str | None) -> None:
        self.modules, self.optimisers = task.modules, task.optimisers
        self.step, self.probe = task.step, task.probe
        if fault is not None:
            FAULTS[fault][0](task)

    def evaluate(self) -> dict[str, float]:
        """Nothing: what is asked is what the monitor sees."""
        return {}
