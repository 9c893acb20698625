"""The analysis network: log-mel spectrogram to content, its course in time, style, source and music gate."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from soundgate.runtime.config import Section
from soundgate.training.weights import read_model, save_model

DIM = 128
# Spectrogram frames a step of the content sequence.
STEP = 8
# Segments of a clip that the pooled content keeps apart.
SEGMENTS = 8


class EncoderSettings(Section):
    """Size of the network.

    Args:
        n_mels: bands of the spectrogram.
        channels: of the three convolution stages, each of which halves the frames.
        shared: width of the shared representation.
    """

    n_mels: int = Field(default=96, ge=8)
    channels: tuple[int, int, int] = (192, 192, 256)
    shared: int = Field(default=256, ge=8)


class Analysis(NamedTuple):
    """What the network says of a clip.

    Args:
        content: [B, 128] of unit length: what is played.
        sequence: [B, 128, F // 8], each step of unit length: what is played when.
        style: [B, 128] of unit length: how it sounds.
        source_logits: [B, S], from the style.
        music_logit: [B], above 0 for music.
    """

    content: Tensor
    sequence: Tensor
    style: Tensor
    source_logits: Tensor
    music_logit: Tensor


class ContentModel(nn.Module):
    """Convolutions over time, bands as channels, a shared representation, and two unit vectors from it.

    Differs: the seed's encoder convolves over bands as well, which costs a CPU four times as much.

    Args:
        settings: see `EncoderSettings`.
        n_genres: classes of the genre head.
        n_sources: classes of the source head.
    """

    def __init__(self, settings: EncoderSettings, n_genres: int, n_sources: int) -> None:
        super().__init__()
        self.settings, self.n_genres, self.n_sources = settings, n_genres, n_sources
        first, second, third = settings.channels
        self.trunk = nn.Sequential(_stage(settings.n_mels, first), _stage(first, second), _stage(second, third))
        self.shared = nn.Sequential(nn.Conv1d(third, settings.shared, 1), nn.BatchNorm1d(settings.shared), nn.ReLU())
        self.content_steps = nn.Sequential(
            nn.Conv1d(settings.shared, settings.shared, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(settings.shared, DIM, 1),
        )
        self.content_pool = nn.Linear(DIM * SEGMENTS, DIM)
        self.style_head = nn.Sequential(nn.Linear(2 * settings.shared, settings.shared), nn.ReLU())
        self.style_out = nn.Linear(settings.shared, DIM)
        self.genre_head = nn.Linear(DIM, n_genres)
        self.source_head = nn.Linear(DIM, n_sources)
        self.music_head = nn.Linear(settings.shared, 1)

    def forward(self, mels: Tensor) -> Analysis:
        """Analyse clips.

        Args:
            mels: [B, n_mels, F] in the models' scale, F a multiple of 8 of at least 64.
        """
        shared = self.shared(self.trunk(mels))
        steps = self.content_steps(shared)
        segments = functional.adaptive_avg_pool1d(steps, SEGMENTS)
        content = functional.normalize(self.content_pool(segments.flatten(1)), dim=-1)
        moments = torch.cat([shared.mean(-1), shared.std(-1, correction=0)], dim=-1)
        hidden = self.style_head(moments)
        style = functional.normalize(self.style_out(hidden), dim=-1)
        return Analysis(
            content,
            functional.normalize(steps, dim=1),
            style,
            self.source_head(style),
            self.music_head(hidden)[:, 0],
        )

    def genre_logits(self, style: Tensor) -> Tensor:
        """Return [B, n_genres] from styles [B, 128]; a unit vector is scaled by 10 so that a softmax can be sure."""
        return self.genre_head(10 * style)


def _stage(n_in: int, n_out: int) -> nn.Sequential:
    """Halve the frames."""
    return nn.Sequential(nn.Conv1d(n_in, n_out, 5, stride=2, padding=2, bias=False), nn.BatchNorm1d(n_out), nn.ReLU())


def save_content(folder: str | Path, model: ContentModel) -> None:
    """Write the model where `load_content` finds it."""
    config = {
        "encoder": model.settings.model_dump(mode="json"),
        "n_genres": model.n_genres,
        "n_sources": model.n_sources,
    }
    save_model(folder, model, config)


def load_content(folder: str | Path) -> ContentModel:
    """Load a trained model, frozen and in evaluation mode, on the CPU.

    Raises:
        WeightsError: a file is missing or damaged.
    """
    config, tensors = read_model(folder)
    settings = EncoderSettings.model_validate(config["encoder"])
    model = ContentModel(settings, config["n_genres"], config["n_sources"])
    model.load_state_dict(tensors)
    return model.requires_grad_(False).eval()
