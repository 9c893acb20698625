"""From latents to waves and on to the one log-mel spectrogram, differentiable throughout."""

from __future__ import annotations

import torchaudio
from torch import Tensor, nn

from soundgate.audio.mel import MelSettings, MelTransform, to_model
from soundgate.codecs.base import Codec
from soundgate.tracks.transfer.cache import N_FRAMES
from soundgate.tracks.transfer.codec.latents import LatentCache
from soundgate.tracks.transfer.codec.loading import load_differentiable


class Sound(nn.Module):
    """A frozen codec's decoder and what the analysis hears of it.

    Args:
        codec: decodes.
        settings: of the spectrograms.
    """

    def __init__(self, codec: Codec, settings: MelSettings) -> None:
        super().__init__()
        self.codec, self.settings = codec, settings
        self.resample = torchaudio.transforms.Resample(codec.sample_rate, settings.sample_rate)
        self.mel = MelTransform(settings)

    def waves(self, latents: Tensor) -> Tensor:
        """Return [B, T] at the codec's rate from latents [B, D, L]."""
        return self.codec.decode(latents.mT.contiguous())[:, 0]

    def mels(self, waves: Tensor) -> Tensor:
        """Return the first 256 frames, [B, 96, 256] in the models' scale, of waves [B, T] at the codec's rate.

        A spectrogram is relative to the loudest moment of the whole wave, as those of the cache are to their chunk's.
        """
        return to_model(self.mel(self.resample(waves)))[..., :N_FRAMES]

    def n_frames(self, duration_s: float) -> int:
        """Return the latent frames of a duration, at least as many as the analysis needs."""
        needed = (N_FRAMES - 1) * self.settings.hop_length / self.settings.sample_rate
        return self.codec.n_frames(round(max(duration_s, needed) * self.codec.sample_rate))


def sound_of(latents: LatentCache, settings: MelSettings) -> Sound:
    """Load the codec that latents are of, with the same settings, on the CPU; see `load_differentiable` for errors."""
    return Sound(load_differentiable(latents.config["codec"], latents.config["settings"]), settings)
