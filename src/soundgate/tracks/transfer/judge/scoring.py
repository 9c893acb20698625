"""The trained judges on disk and in use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from soundgate.tracks.transfer.judge.networks import ContentJudge, StyleJudge
from soundgate.training.weights import read_model, save_model

BATCH = 128


@dataclass(frozen=True)
class Judges:
    """Judges of content and style, frozen, on the CPU.

    Args:
        content_judge: see `ContentJudge`.
        style_judge: see `StyleJudge`.
    """

    content_judge: ContentJudge
    style_judge: StyleJudge

    def content(self, decibels: np.ndarray) -> np.ndarray:
        """Return unit vectors [n, 64] of spectrograms [n, n_mels, 256] dB."""
        return _batched(self.content_judge, decibels)

    def style(self, decibels: np.ndarray) -> np.ndarray:
        """Return genre probabilities [n, G] of spectrograms [n, n_mels, 256] dB."""
        return _batched(self.style_judge, decibels)

    def save(self, folder: str | Path) -> None:
        """Write both judges."""
        content, style = self.content_judge, self.style_judge
        save_model(Path(folder) / "content", content, {"n_mels": content.n_mels, "channels": content.channels})
        n_genres, n_features = style.weight.shape
        save_model(Path(folder) / "style", style, {"n_features": n_features, "n_genres": n_genres})

    @classmethod
    def open(cls, folder: str | Path) -> Judges:
        """Open what `save` wrote.

        Raises:
            WeightsError: a file is missing or damaged.
        """
        judges = []
        for name, model in (("content", ContentJudge), ("style", StyleJudge)):
            config, tensors = read_model(Path(folder) / name)
            judge = model(**config)
            judge.load_state_dict(tensors)
            judges.append(judge.requires_grad_(False).eval())
        return cls(*judges)


@torch.no_grad()
def _batched(model: nn.Module, decibels: np.ndarray) -> np.ndarray:
    parts = np.array_split(decibels, max(1, -(-len(decibels) // BATCH)))
    return np.concatenate([model(torch.from_numpy(part.astype(np.float32))).numpy() for part in parts])
