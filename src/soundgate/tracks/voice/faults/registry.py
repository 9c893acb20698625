"""Which faults there are, at which strengths, where, and which of them the monitor must not be adjusted by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal, NamedTuple

from soundgate.tracks.voice.faults import planting
from soundgate.tracks.voice.faults.rigs import Rig

Side = Literal["development", "held_out"]
ALL, GAN, ENCODER, REGRESSION = ("gan", "encoder", "regression"), ("gan",), ("encoder",), ("regression",)
# The rules were adjusted by these before there was a split: they are none that could be held out.
_ADJUSTED_BY = (
    "rate_large", "exploding_gradient", "frozen_network", "constant_output", "dead_discriminators",
    "detached_conditioning", "bad_batch",
)  # fmt: skip


class Fault(NamedTuple):
    """A fault.

    Args:
        plant: what it does to a training, by its strength.
        strengths: the weakest first.
        architectures: where it can be.
        from_start: it is there from the first step on, as faults of data and settings are; otherwise it comes into a
            training that was healthy.
    """

    plant: Callable[[Rig, float], None] | Callable[[Rig, str], None]
    strengths: tuple[float, ...] | tuple[str, ...]
    architectures: tuple[str, ...] = ALL
    from_start: bool = False


FAULTS: dict[str, Fault] = {
    "rate_large": Fault(planting.rate, (5.0, 30.0, 100.0)),
    "rate_small": Fault(planting.rate, (0.03, 0.01, 0.001), from_start=True),
    "exploding_gradient": Fault(planting.gradient, (5.0, 30.0, 1e4)),
    "loss_sign": Fault(planting.loss_sign, (0.5, 0.8, 1.0), from_start=True),
    "contrastive_sign": Fault(planting.contrastive_sign, (0.5, 0.8, 1.0), GAN, from_start=True),
    "detached_adversarial": Fault(planting.detached_adversarial, (0.5, 0.8, 1.0), GAN, from_start=True),
    "wrong_labels": Fault(planting.wrong_labels, (0.3, 0.7, 1.0), ENCODER, from_start=True),
    "half_silent": Fault(planting.half_silent, (0.3, 0.5, 0.9), from_start=True),
    "wrong_rate": Fault(planting.wrong_rate, (1.5, 2.0, 2.75), from_start=True),
    "clipped_sound": Fault(planting.clipped_sound, (4.0, 16.0, 64.0), from_start=True),
    "dc_offset": Fault(planting.dc_offset, (0.1, 0.3, 1.0), from_start=True),
    "stuck_data": Fault(planting.stuck_data, (4.0, 2.0, 1.0)),
    "duplicates": Fault(planting.duplicates, (0.5, 0.75, 1.0), from_start=True),
    "shuffled_targets": Fault(planting.shuffled_targets, (0.3, 0.7, 1.0), REGRESSION, from_start=True),
    "missing_normalisation": Fault(planting.missing_normalisation, (5.0, 20.0, 100.0), REGRESSION, from_start=True),
    "weight_decay": Fault(planting.weight_decay, (10.0, 30.0, 100.0), from_start=True),
    "momentum_long": Fault(planting.momentum, (0.99, 0.999, 0.9999), from_start=True),
    "second_moment_short": Fault(planting.second_moment, (0.9, 0.5, 0.0), from_start=True),
    "clip_to_nothing": Fault(planting.clip, (1e-4, 1e-7, 1e-10), from_start=True),
    "evaluation_mode": Fault(
        planting.evaluation_mode, ("dropout", "normalisation", "both"), REGRESSION, from_start=True
    ),
    "saturated": Fault(planting.saturated, (1.0, 10.0, 100.0), ("encoder", "regression")),
    "accumulating": Fault(planting.accumulating, (0.5, 0.8, 1.0)),
    "frozen_layers": Fault(planting.frozen_layers, (0.25, 0.5, 0.75), from_start=True),
    "frozen_network": Fault(planting.rate, (1e-4, 1e-6, 0.0)),
    "constant_output": Fault(planting.constant_output, (0.9, 0.99, 1.0)),
    "dead_discriminators": Fault(planting.dead_discriminators, (0.01, 1e-4, 0.0), GAN),
    "dominance": Fault(planting.dominance, (5.0, 20.0, 100.0), GAN),
    "detached_conditioning": Fault(planting.conditioning, (0.1, 0.01, 0.0), GAN),
    "fading_conditioning": Fault(planting.fading_conditioning, (0.95, 0.9, 0.7), GAN),
    "bad_batch": Fault(planting.bad_batch, (0.0, 0.1, 1.0)),
}  # fmt: skip


def side_of_fault(name: str) -> Side:
    """Return whether rules may be adjusted by a fault: the first byte of a hash of its name is odd where they may not.

    The rule was fixed with the list of faults, before any of them was planted. Those that earlier rules were adjusted
    by are on the side of development whatever their hash.
    """
    if name in _ADJUSTED_BY:
        return "development"
    return "held_out" if hashlib.sha256(f"held out: {name}".encode()).digest()[0] % 2 else "development"


def side_of_trial(number: int) -> Side:
    """Return whether rules may be adjusted by trainings of a number, which gives weights and batches: the even ones."""
    return "held_out" if number % 2 else "development"
