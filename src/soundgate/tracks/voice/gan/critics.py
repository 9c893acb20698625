"""Both discriminators as one side of the game: what they learn, and what they make the converter learn."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from soundgate.tracks.voice.gan.discriminators import Mpd, Mrd
from soundgate.tracks.voice.gan.settings import TrainSettings
from soundgate.training.adversarial import (
    Verdict,
    feature_matching,
    hinge_discriminator,
    hinge_generator,
    least_squares_discriminator,
    least_squares_generator,
    r1_penalty,
    set_trainable,
)

_GAMES = {
    "hinge": (hinge_discriminator, hinge_generator),
    "lsgan": (least_squares_discriminator, least_squares_generator),
}


class Critics(nn.Module):
    """Discriminators of waveforms and of spectrograms, asked together.

    Args:
        settings: see `TrainSettings`.
    """

    def __init__(self, settings: TrainSettings) -> None:
        super().__init__()
        self.settings = settings
        self.mpd, self.mrd = Mpd(settings.width), Mrd(settings.width)

    def forward(self, wav: Tensor) -> Verdict:
        """Return what all of them say of sound [B, T]."""
        with torch.autocast(wav.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            waves, spectra = self.mpd(wav), self.mrd(wav)
        return Verdict(waves.logits + spectra.logits, waves.features + spectra.features)

    def judge(self, truth: Tensor, made: Tensor, share: float, step: int) -> tuple[dict[str, Tensor], Tensor, Verdict]:
        """Tell truth from what was made.

        Args:
            truth: [B, T].
            made: [B, T], detached.
            share: of these items in the batch of this process.
            step: of the training, for R1.

        Returns:
            Their losses, what they minimise, and their verdict on ``truth``.
        """
        settings = self.settings
        set_trainable(self, True)
        both = self(torch.cat([truth, made]))
        real, fake = (Verdict(*ends) for ends in _halves(both, len(truth)))
        loss = share * _GAMES[settings.adversarial][0](real.logits, fake.logits)
        losses = {"discriminator": loss}
        if settings.r1_gamma and step % settings.r1_every == 0:
            inputs = truth.clone().requires_grad_(True)
            losses["r1"] = share * r1_penalty(self(inputs).logits, inputs)
            loss = loss + settings.r1_gamma * settings.r1_every * losses["r1"]
        return losses, loss, real

    def fool(self, made: Tensor, real: Verdict, share: float) -> dict[str, Tensor]:
        """Return the converter's losses by them.

        Args:
            made: [B, T].
            real: their verdict on what it should have been.
            share: of these items in the batch of this process.
        """
        weights = self.settings.weights
        set_trainable(self, False)
        fake = self(made)
        losses = {}
        if weights.adversarial:
            losses["adversarial"] = share * _GAMES[self.settings.adversarial][1](fake.logits)
        if weights.feature_matching:
            losses["feature_matching"] = share * feature_matching(real.features, fake.features)
        return losses


def _halves(verdict: Verdict, size: int) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Yield the verdict on the first ``size`` items, then that on the others."""
    for half in (slice(None, size), slice(size, None)):
        yield [logits[half] for logits in verdict.logits], [layer[half] for layer in verdict.features]
