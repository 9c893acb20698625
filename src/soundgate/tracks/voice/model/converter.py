"""The voice converter: a source-filter decoder in the domain of the short-time Fourier transform."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from soundgate.runtime.arithmetic import square_root
from soundgate.tracks.voice.cache import Utterances
from soundgate.tracks.voice.features import FeatureSettings, LogMel
from soundgate.tracks.voice.model.excitation import frame_phases, harmonics, noise
from soundgate.tracks.voice.model.networks import ContentEncoder, Decoder, Filters, Moments, moments
from soundgate.tracks.voice.model.settings import NetworkSettings
from soundgate.tracks.voice.speaker.model import SpeakerEncoder

# Quieter than this nothing is brought to a common level.
_QUIETEST = 1e-4
# Middle and half width of voices' mean log F0, for the projection.
_LOG_F0_MIDDLE, _LOG_F0_HALF_WIDTH = math.log(150.0), 0.5


class Voices(NamedTuple):
    """What makes a voice.

    Args:
        embedding: float32 [B, D] of the speaker encoder, unit length (a mean over utterances may be used).
        log_f0_mean: float32 [B], of the natural logarithm of the speaker's fundamental in Hz.
        log_f0_std: float32 [B], likewise.
    """

    embedding: Tensor
    log_f0_mean: Tensor
    log_f0_std: Tensor


class Draws(NamedTuple):
    """What is random in training.

    Args:
        noise: float32 [B, (L - 1) · hop_length], of power 1.
        warp: float32 [B], by which the bands are stretched; see `ContentSettings`.
        phases: float32 [B, L] of the fundamental asked for, from `frame_phases`: not random, but computed beforehand on
            the CPU, so that a GPU is not waited for; None: computed when they are needed.
    """

    noise: Tensor
    warp: Tensor
    phases: Tensor | None = None


class Excitation(NamedTuple):
    """Both excitations, float32 [B, (L - 1) · hop_length] each."""

    harmonic: Tensor
    noise: Tensor


class VoiceConverter(nn.Module):
    """Utterances in the voices asked for.

    A frame's content (see `ContentEncoder`) and its pitch, in units of the source speaker's own, become the filters of
    an excitation whose pitch is in units of the target's. The source's level is the output's.

    Source: Wang et al. 2019, NSF (excitation); Kaneko et al. 2022, iSTFTNet; Siuzdak 2023, Vocos.
    Differs: the network says what the excitation's transform is multiplied by, not the transform itself, so that
        harmonics are in their places before anything is learnt.

    Args:
        settings: see `NetworkSettings`.
        features: what frames are.
        speaker: the encoder of voices; the training says whether it learns.

    Attributes:
        projection: of the embedding and the mean log F0, to what steers the decoder.
    """

    def __init__(self, settings: NetworkSettings, features: FeatureSettings, speaker: SpeakerEncoder) -> None:
        super().__init__()
        self.settings, self.features, self.n_embedding = settings, features, speaker.settings.dim
        self.speaker, self.log_mel = speaker, LogMel(features)
        self.content = ContentEncoder(settings.content, features.n_mels)
        self.projection = nn.Linear(self.n_embedding + 1, settings.decoder.n_voice)
        self.decoder = Decoder(settings.decoder, settings.content.n_content + 2, features.n_fft // 2 + 1)
        self.register_buffer("window", torch.hann_window(features.n_fft), persistent=False)

    @property
    def context(self) -> int:
        """Frames to either side that a sample depends on, beside the moments of the content."""
        overlap = -(-self.features.n_fft // (2 * self.features.hop_length))
        return self.content.context + self.decoder.context + overlap

    def voices(self, utterances: Utterances) -> Voices:
        """Return the voices that utterances are spoken in."""
        return Voices(self.speaker(utterances.wav), utterances.log_f0_mean, utterances.log_f0_std)

    def forward(self, utterances: Utterances, voices: Voices, draws: Draws | None = None) -> Tensor:
        """Return float32 [B, (L - 1) · hop_length], differentiable.

        Args:
            utterances: what is said.
            voices: of each.
            draws: of a training step; None: noise by position, bands as they are.
        """
        # Products inside the transforms would be in bfloat16 too.
        with torch.autocast(utterances.wav.device.type, enabled=False):
            level = levels(utterances.wav)
            cepstra = self.content.cepstra(self.log_mel(utterances.wav / level), draws.warp if draws else None)
        pitch, f0 = self.prosody(utterances, voices)
        phases = draws.phases if draws else None
        if phases is None:
            phases = frame_phases(f0, self.features.hop_length, self.features.sample_rate)
        made = self.render(cepstra, moments(cepstra), pitch, self.excitation(f0, phases, 0, draws), voices)
        return level * made

    def prosody(self, utterances: Utterances, voices: Voices) -> tuple[Tensor, Tensor]:
        """Return the pitch in units of the source [B, L, 2] (0 where unvoiced; voicing), and the target's F0 [B, L]."""
        return prosody(utterances, voices.log_f0_mean, voices.log_f0_std, self.features)

    def excitation(self, f0: Tensor, phases: Tensor, first: int, draws: Draws | None = None) -> Excitation:
        """Return the excitations of frames from number ``first`` on."""
        hop = self.features.hop_length
        pulses = harmonics(f0, phases, hop, self.features.sample_rate)
        if draws is not None:
            return Excitation(pulses, draws.noise)
        return Excitation(pulses, noise(first * hop, pulses.shape[1]).to(pulses).expand_as(pulses))

    def render(self, cepstra: Tensor, own: Moments, pitch: Tensor, excitation: Excitation, voices: Voices) -> Tensor:
        """Return sound at a level of about 1; every argument but the moments and the voices is of these frames."""
        content = self.content(cepstra, own)
        filters = self.decoder(torch.cat([content, pitch.to(content.dtype)], dim=-1), self.condition(voices))
        return self._filtered(filters, excitation)

    def condition(self, voices: Voices) -> Tensor:
        """Return what steers every block of the decoder, [B, n_voice]."""
        height = (voices.log_f0_mean - _LOG_F0_MIDDLE) / _LOG_F0_HALF_WIDTH
        return self.projection(torch.cat([voices.embedding, height[:, None]], dim=1))

    def _filtered(self, filters: Filters, excitation: Excitation) -> Tensor:
        n_fft, hop = self.features.n_fft, self.features.hop_length

        def transform(wave: Tensor) -> Tensor:
            return torch.stft(wave, n_fft, hop, window=self.window, pad_mode="constant", return_complex=True)

        harmonic = torch.polar(filters.harmonic.exp(), filters.turn).mT * transform(excitation.harmonic)
        spectrum = harmonic + filters.noise.exp().mT * transform(excitation.noise)
        return torch.istft(spectrum, n_fft, hop, window=self.window)


def prosody(
    utterances: Utterances, log_f0_mean: Tensor, log_f0_std: Tensor, features: FeatureSettings
) -> tuple[Tensor, Tensor]:
    """Return what `VoiceConverter.prosody` returns; of the target's voice mean and deviation of log F0 [B] suffice."""
    own = utterances.f0.clamp(min=1.0).log() - utterances.log_f0_mean[:, None]
    voiced = (utterances.f0 > 0).to(own.dtype)
    pitch = voiced * own / utterances.log_f0_std[:, None].clamp(min=1e-2)
    asked = log_f0_mean[:, None] + pitch * log_f0_std[:, None]
    f0 = asked.exp().clamp(features.f0_min_hz / 2, 2 * features.f0_max_hz)
    return torch.stack([pitch, voiced], dim=-1), voiced * f0


def levels(wav: Tensor) -> Tensor:
    """Return each waveform's root mean square, float32 [B, 1], not lower than about -80 dB."""
    return square_root(wav.square().mean(dim=1, keepdim=True).clamp(min=_QUIETEST**2))
