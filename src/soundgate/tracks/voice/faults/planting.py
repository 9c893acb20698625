"""Faults of trainings, each as what really goes wrong would look to the training, at several strengths."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torchaudio
from torch import Tensor, nn

from soundgate.tracks.voice.faults.rigs import EncoderRig, GanRig, RegressionRig, Rig
from soundgate.tracks.voice.model.converter import Voices
from soundgate.training.adversarial import Verdict, reverse_gradient
from soundgate.training.health.parts import parts_of

_RATE_HZ = 16_000


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


def now_and_then(share: float) -> Callable[[], bool]:
    """Return a function that says yes to a share of its calls, evenly dealt out."""
    count = 0

    def asked() -> bool:
        nonlocal count
        count += 1
        return math.floor(count * share) > math.floor((count - 1) * share)

    return asked


def rate(rig: Rig, factor: float) -> None:
    """Another learning rate than the schedule's."""
    scale_rate(rig.optimiser, factor)


def gradient(rig: Rig, factor: float) -> None:
    """Gradients that are larger than they were."""
    for parameter in rig.network.parameters():
        if parameter.requires_grad:
            parameter.register_hook(lambda grad: grad * factor)


def loss_sign(rig: Rig, share: float) -> None:
    """At a share of the steps the loss is climbed."""
    turned = now_and_then(share)
    rig.on_loss(lambda loss: reverse_gradient(loss) if torch.is_grad_enabled() and turned() else loss)


def contrastive_sign(rig: GanRig, share: float) -> None:
    """At a share of the steps conversions are pushed from their target."""
    turned, contrastive = now_and_then(share), rig.task._contrastive

    def pushed(*arguments: object) -> Tensor:
        loss = contrastive(*arguments)
        return reverse_gradient(loss) if torch.is_grad_enabled() and turned() else loss

    rig.task._contrastive = pushed


def detached_adversarial(rig: GanRig, share: float) -> None:
    """At a share of the steps nothing of the discriminators reaches the converter."""
    cut, fool = now_and_then(share), rig.task.critics.fool
    rig.task.critics.fool = lambda made, *more: fool(made.detach() if cut() else made, *more)


def wrong_labels(rig: EncoderRig, share: float) -> None:
    """A share of the utterances belongs to speakers drawn at random."""
    generator = np.random.default_rng(0)
    codes = rig.task.codes.copy()
    wrong = generator.permutation(len(codes))[: round(share * len(codes))]
    codes[wrong] = generator.integers(codes.max() + 1, size=len(wrong))
    rig.task.codes = codes


def half_silent(rig: Rig, share: float) -> None:
    """Of each item a share is silent."""

    def silenced(wav: Tensor) -> Tensor:
        wav = wav.clone()
        wav[:, : round(share * wav.shape[1])] = 0
        return wav

    rig.on_sound(silenced)


def wrong_rate(rig: Rig, stretch: float) -> None:
    """Sound of a higher sample rate is taken for sound of this one, and so is slower and lower."""

    def slowed(wav: Tensor) -> Tensor:
        longer = torchaudio.functional.resample(wav, _RATE_HZ, round(_RATE_HZ * stretch))
        return longer[:, : wav.shape[1]].contiguous()

    rig.on_sound(slowed)


def clipped_sound(rig: Rig, gain: float) -> None:
    """Sound is cut off at a part of its peak."""
    rig.on_sound(lambda wav: wav.clamp(*(side * wav.abs().amax() / gain for side in (-1, 1))))


def dc_offset(rig: Rig, share: float) -> None:
    """Sound is shifted by a share of its peak."""
    rig.on_sound(lambda wav: wav + share * wav.abs().amax())


def stuck_data(rig: Rig, count: float) -> None:
    """The same few batches again and again, draws and all."""
    step, kept = rig.task.step, []

    def stuck(items: np.ndarray, number: int) -> dict[str, float]:
        if len(kept) < count:
            kept.append((items, torch.get_rng_state()))
        items, state = kept[number % len(kept)]
        torch.set_rng_state(state)
        return step(items, number)

    rig.task.step = stuck


def duplicates(rig: Rig, share: float) -> None:
    """A share of each batch is the sound of its first item."""

    def copied(wav: Tensor) -> Tensor:
        count = max(2, round(share * len(wav)))
        return torch.cat([wav[:1].expand(count, -1), wav[count:]])

    rig.on_sound(copied)


def shuffled_targets(rig: RegressionRig, share: float) -> None:
    """A share of the targets is another item's."""

    def shuffled(clean: Tensor) -> Tensor:
        count = round(share * len(clean))
        return torch.cat([clean[:count].roll(1, 0), clean[count:]])

    rig.task.targets.append(shuffled)


def missing_normalisation(rig: RegressionRig, factor: float) -> None:
    """Inputs are larger than a network expects them."""
    rig.task.inputs.append(lambda noisy: noisy * factor)


def weight_decay(rig: Rig, decay: float) -> None:
    """Weights shrink faster than they can learn."""
    for group in rig.optimiser.param_groups:
        group["weight_decay"] = decay


def momentum(rig: Rig, beta: float) -> None:
    """The optimiser's mean of gradients looks back too far."""
    for group in rig.optimiser.param_groups:
        group["betas"] = (beta, group["betas"][1])


def second_moment(rig: Rig, beta: float) -> None:
    """The optimiser's mean of squared gradients hardly looks back."""
    for group in rig.optimiser.param_groups:
        group["betas"] = (group["betas"][0], beta)


def clip(rig: Rig, norm: float) -> None:
    """Gradients are clipped to next to nothing."""
    rig.learner.clip = norm


def evaluation_mode(rig: RegressionRig, kind: str) -> None:
    """Dropout, batch normalisation or both are left in evaluation mode."""
    kinds = {"dropout": (nn.Dropout,), "normalisation": (nn.BatchNorm1d,), "both": (nn.Dropout, nn.BatchNorm1d)}[kind]
    for part in rig.network.modules():
        if isinstance(part, kinds):
            part.eval()


def saturated(rig: Rig, depth: float) -> None:
    """Rectifiers are driven below 0, once."""

    def sink(layer: nn.Module, _inputs: tuple) -> None:
        handle.remove()
        with torch.no_grad():
            layer.bias -= depth

    handle = rig.rectified.register_forward_pre_hook(sink)


def accumulating(rig: Rig, share: float) -> None:
    """At a share of the steps the gradients of before are not forgotten."""
    keeps, forget = now_and_then(share), rig.learner.forget
    rig.learner.forget = lambda: None if keeps() else forget()


def frozen_layers(rig: Rig, share: float) -> None:
    """A share of the network's parts does not learn."""
    parts = [part for part in parts_of(rig.network).values() if any(own.requires_grad for own in part.parameters())]
    for part in parts[: max(1, math.floor(share * len(parts)))]:
        part.requires_grad_(False)


def constant_output(rig: Rig, share: float) -> None:
    """Whatever goes in, a share of what comes out is the same."""
    rig.output.register_forward_hook(
        lambda _part, _inputs, made: torch.lerp(made, made.mean(dim=0, keepdim=True).expand_as(made), share)
    )


def dead_discriminators(rig: GanRig, factor: float) -> None:
    """Scores that say hardly anything."""

    def quiet(_critic: nn.Module, _inputs: tuple, verdict: Verdict) -> Verdict:
        return Verdict([factor * logits for logits in verdict.logits], verdict.features)

    for critic in (rig.task.critics.mpd, rig.task.critics.mrd):
        critic.register_forward_hook(quiet)


def dominance(rig: GanRig, factor: float) -> None:
    """The discriminators learn faster than the converter."""
    scale_rate(rig.task.optimisers["discriminators"], factor)


def conditioning(rig: GanRig, kept: float) -> None:
    """Hardly anything of the voice asked for reaches the converter."""
    _attenuate(rig, lambda: kept)


def fading_conditioning(rig: GanRig, each: float) -> None:
    """The voice asked for counts for less from step to step."""
    count = 0

    def kept() -> float:
        nonlocal count
        count += torch.is_grad_enabled()
        return each**count

    _attenuate(rig, kept)


def _attenuate(rig: GanRig, kept: Callable[[], float]) -> None:
    def quieter(_converter: nn.Module, inputs: tuple) -> tuple:
        utterances, voices, *more = inputs
        return utterances, Voices(kept() * voices.embedding, *voices[1:]), *more

    rig.network.register_forward_pre_hook(quieter)


def bad_batch(rig: Rig, share: float) -> None:
    """One batch of which a share of the samples, or one at least, is not finite."""
    spoilt = False

    def spoil(wav: Tensor) -> Tensor:
        nonlocal spoilt
        if spoilt:
            return wav
        spoilt = True
        flat = wav.flatten().clone()
        flat[: max(1, round(share * len(flat)))] = torch.nan
        return flat.view_as(wav)

    rig.on_sound(spoil)
