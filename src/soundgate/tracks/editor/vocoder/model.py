"""The vocoder: log-mel frames to the frames of an inverse short-time Fourier transform."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from soundgate.networks.convnext import KERNEL, ConvNeXtBlock
from soundgate.runtime.config import parse_section
from soundgate.tracks.editor.features import Features, FeatureSettings
from soundgate.tracks.editor.vocoder.settings import NetworkSettings
from soundgate.training.weights import read_model, save_model

_BLOCK_FRAMES = 2_048


class VocoderNetwork(nn.Module):
    """Frames to a waveform: magnitude and phase of every bin, then the inverse transform.

    The transform is that of the features, window and hop: a band's level is then a sum over the very magnitudes
    that are looked for, and four frames overlap at each sample. A shorter window would have only two at this hop.

    Source: Siuzdak 2023, "Vocos", sections 3.2 and 3.3.
    Differs: magnitudes are corrections of the bands' levels spread over the bins, so that training starts near
        them; phases are relative to a frame's centre.

    Args:
        settings: see `NetworkSettings`.
        features: what the frames are.
    """

    def __init__(self, settings: NetworkSettings, features: FeatureSettings) -> None:
        super().__init__()
        self.settings, self.features = settings, features
        n_bins, width = features.n_fft // 2 + 1, settings.width
        self.embed = nn.Conv1d(features.n_mels, width, KERNEL, padding=KERNEL // 2)
        self.norm_in, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = nn.Sequential(*(ConvNeXtBlock(width, settings.n_blocks) for _ in range(settings.n_blocks)))
        self.head = nn.Linear(width, 2 * n_bins)
        spread, offset = _spread(features)
        self.register_buffer("spread", spread, persistent=False)
        self.register_buffer("offset", offset, persistent=False)
        self.register_buffer("window", torch.hann_window(features.n_fft), persistent=False)
        self.register_buffer("turn", torch.pi * (torch.arange(n_bins) % 2), persistent=False)

    @property
    def context(self) -> int:
        """Frames to either side that a sample can depend on."""
        overlap = -(-self.features.n_fft // (2 * self.features.hop_length))
        return KERNEL // 2 * (self.settings.n_blocks + 1) + overlap

    def forward(self, unit: Tensor) -> Tensor:
        """Return [B, (F - 1) · hop_length] from frames [B, F, n_mels] in the models' scale, F > 1."""
        hidden = self.norm_in(self.embed(unit.mT).mT)
        residual, angle = self.head(self.norm_out(self.blocks(hidden))).chunk(2, dim=-1)
        level = unit @ self.spread + self.offset + residual
        magnitude = level.clamp(max=math.log(self.features.n_fft)).exp()
        spectrum = torch.polar(magnitude, angle + self.turn).mT
        return torch.istft(spectrum, self.features.n_fft, self.features.hop_length, window=self.window)


class Vocoder:
    """A trained network for recordings of any length.

    Args:
        network: see `VocoderNetwork`.
    """

    def __init__(self, network: VocoderNetwork) -> None:
        self.network = network.requires_grad_(False).eval()

    def __call__(self, unit: np.ndarray) -> np.ndarray:
        """Return float32 [(F - 1) · hop_length] at the features' rate; memory does not grow with the network's work.

        Args:
            unit: float32 [F, n_mels] in the models' scale.
        """
        hop, context = self.network.features.hop_length, self.network.context
        n_hops = max(0, len(unit) - 1)
        wav = np.empty(n_hops * hop, np.float32)
        for first in range(0, n_hops, _BLOCK_FRAMES):
            last = min(first + _BLOCK_FRAMES, n_hops)
            start = max(0, first - context)
            frames = torch.from_numpy(unit[start : last + context + 1])[None].to(self.network.window.device)
            made = self.network(frames)[0].cpu().numpy()
            wav[first * hop : last * hop] = made[(first - start) * hop : (last - start) * hop]
        return wav


def save_vocoder(folder: str | Path, network: VocoderNetwork) -> None:
    """Write the weights, and the settings of network and features."""
    save_model(folder, network, {"network": network.settings.model_dump(), "features": network.features.model_dump()})


def load_vocoder(folder: str | Path) -> Vocoder:
    """Read what `save_vocoder` wrote, on the CPU.

    Raises:
        WeightsError: a file is missing or damaged.
        ConfigError: the settings in it are not such of a vocoder.
    """
    config, tensors = read_model(folder)
    network = VocoderNetwork(
        parse_section("network", config["network"], NetworkSettings),
        parse_section("features", config["features"], FeatureSettings),
    )
    network.load_state_dict(tensors)
    return Vocoder(network)


def _spread(settings: FeatureSettings) -> tuple[Tensor, Tensor]:
    """Return [n_mels, n_bins] and [n_bins]: from frames to the bins' natural log magnitudes, as if bands were flat."""
    features = Features(settings)
    hz = np.linspace(0, settings.sample_rate / 2, settings.n_fft // 2 + 1)
    between = np.stack([np.interp(hz, features.centres_hz, row) for row in np.eye(settings.n_mels)])
    area_db = 10 * np.log10(features.power.mel_scale.fb.numpy().sum(axis=0))
    nepers = math.log(10) / 20
    spread, offset = nepers * settings.range_db * between, nepers * (settings.floor_db - area_db) @ between
    return torch.from_numpy(spread).float(), torch.from_numpy(offset).float()
