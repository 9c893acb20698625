"""The speaker encoder: a waveform to a unit vector that says who speaks."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.runtime.arithmetic import square_root
from soundgate.runtime.config import parse_section
from soundgate.tracks.voice.features import FeatureSettings, LogMel
from soundgate.tracks.voice.speaker.settings import NetworkSettings
from soundgate.training.weights import read_model, save_model

_KERNEL = 5


class _Block(nn.Module):
    """A dilated convolution along time, a mix of the channels, and a gate by what the whole utterance holds.

    Source: Desplanques, Thienpondt and Demuynck 2020, ECAPA-TDNN, section 3.2 (residual blocks with
        squeeze-excitation).
    Differs: convolutions within channels, and layer normalisation, which knows nothing of the rest of a batch.
    """

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(
            width, width, _KERNEL, padding=_KERNEL // 2 * dilation, dilation=dilation, groups=width
        )
        self.norm = nn.GroupNorm(1, width)
        self.mix = nn.Sequential(nn.Conv1d(width, 2 * width, 1), nn.GELU(), nn.Conv1d(2 * width, width, 1))
        self.gate = nn.Sequential(nn.Linear(width, width // 4), nn.ReLU(), nn.Linear(width // 4, width), nn.Sigmoid())

    def forward(self, hidden: Tensor) -> Tensor:
        mixed = self.mix(self.norm(self.over_time(hidden)))
        return hidden + mixed * self.gate(mixed.mean(dim=-1))[..., None]


class StatisticsPooling(nn.Module):
    """Weighted mean and deviation over time, with weights by channel.

    Source: Okabe, Koshinaka and Shinoda 2018, "Attentive statistics pooling"; Desplanques et al. 2020, section 3.1.

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Conv1d(width, width // 2, 1), nn.Tanh(), nn.Conv1d(width // 2, width, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return [B, 2 · width] from [B, width, L]."""
        weights = self.score(hidden).softmax(dim=-1)
        mean = (weights * hidden).sum(dim=-1)
        variance = (weights * hidden.square()).sum(dim=-1) - mean.square()
        return torch.cat([mean, square_root(variance.clamp(min=1e-4))], dim=1)


class SpeakerEncoder(nn.Module):
    """Waveforms to embeddings, whatever their level.

    Args:
        settings: see `NetworkSettings`.
        features: the track's; sample rate, window and bands are taken from them.

    Source: ECAPA-TDNN, see `_Block` and `StatisticsPooling`.
    """

    def __init__(self, settings: NetworkSettings, features: FeatureSettings) -> None:
        super().__init__()
        self.settings, self.features = settings, features
        width = settings.width
        self.log_mel = LogMel(features, settings.f_max_hz)
        self.first = nn.Conv1d(features.n_mels, width, _KERNEL, stride=2, padding=_KERNEL // 2)
        self.blocks = nn.Sequential(*(_Block(width, dilation) for dilation in settings.dilations))
        self.last = nn.Sequential(nn.GroupNorm(1, width), nn.Conv1d(width, 2 * width, 1), nn.ReLU())
        self.pooling = StatisticsPooling(2 * width)
        self.head = nn.Sequential(nn.LayerNorm(4 * width), nn.Linear(4 * width, settings.dim))

    def forward(self, wav: Tensor) -> Tensor:
        """Return unit vectors [B, dim] from float32 [B, T] at the features' rate; differentiable."""
        return self.embed(self.log_mel(wav))

    def embed(self, mel: Tensor) -> Tensor:
        """Return unit vectors [B, dim] from log-mel spectrograms [B, n_mels, L]."""
        hidden = self.blocks(self.first(mel - mel.mean(dim=(1, 2), keepdim=True)))
        return functional.normalize(self.head(self.pooling(self.last(hidden))), dim=-1)


def save_speaker(folder: str | Path, model: SpeakerEncoder) -> None:
    """Write the weights, and the settings of network and features."""
    save_model(folder, model, {"network": model.settings.model_dump(), "features": model.features.model_dump()})


def load_speaker(folder: str | Path) -> SpeakerEncoder:
    """Read what `save_speaker` wrote, on the CPU.

    Raises:
        WeightsError: a file is missing or damaged.
        ConfigError: the settings in it are not such of a speaker encoder.
    """
    config, tensors = read_model(folder)
    model = SpeakerEncoder(
        parse_section("network", config["network"], NetworkSettings),
        parse_section("features", config["features"], FeatureSettings),
    )
    model.load_state_dict(tensors)
    return model.eval()
