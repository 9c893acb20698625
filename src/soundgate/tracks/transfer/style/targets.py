"""Target vectors: what a style transfer steers towards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from soundgate.audio.mel import from_model
from soundgate.runtime.config import Section
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import atomic_path, read_json, write_json
from soundgate.runtime.npz import write_npz
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.style.descriptor import descriptor32
from soundgate.tracks.transfer.style.vectors import StyleVectors, centroid, unit

TARGETS_FILE = "targets.npz"
CONFIG_FILE = "config.json"
BATCH = 256


class StyleSettings(Section):
    """Section ``transfer.style``.

    Args:
        descriptor_weight: of the descriptor beside the style embedding, both of unit length.
        lda: project on the ``n_genres - 1`` directions that tell genres apart; not where there are two, since a unit
            vector on one direction is 1 or -1 and has no gradient.
        inlier_fraction: share of a genre's items, the nearest ones, that its centroid is made of.
        exemplar_noise: standard deviation added to each coordinate of an exemplar.
        n_subsets: random fifths of the train tracks that centroids' stability is measured with.
        n_bootstrap: draws of the intervals.
    """

    descriptor_weight: float = Field(ge=0)
    lda: bool
    inlier_fraction: float = Field(gt=0, le=1)
    exemplar_noise: float = Field(ge=0)
    n_subsets: int = Field(ge=1)
    n_bootstrap: int = Field(ge=1)


@dataclass(frozen=True)
class TargetSpace:
    """From a style embedding and a spectrogram to a target vector; differentiable in both.

    Args:
        mean: of the descriptor over train items, float32 [32].
        std: of the descriptor over train items, float32 [32].
        weight: of the descriptor's block.
        offset: subtracted before the projection, float32 [160].
        projection: float32 [160, D].
    """

    mean: Tensor
    std: Tensor
    weight: float
    offset: Tensor
    projection: Tensor

    def blocks(self, style: Tensor, mels: Tensor) -> Tensor:
        """Return target160, [B, 160]: both blocks of unit length before they are weighted."""
        own = (descriptor32(from_model(mels)) - self.mean.to(mels.device)) / self.std.to(mels.device)
        return torch.cat([style, self.weight * functional.normalize(own, dim=-1)], dim=-1)

    def project(self, style: Tensor, mels: Tensor) -> Tensor:
        """Return unit target vectors [B, D] from styles [B, 128] and spectrograms [B, n_mels, F] in model scale."""
        values = (self.blocks(style, mels) - self.offset.to(mels.device)) @ self.projection.to(mels.device)
        return functional.normalize(values, dim=-1)


@dataclass(frozen=True)
class StyleTargets(StyleVectors):
    """The target vectors of a cache's items and the genres' centroids.

    Args:
        space: how they are made.
    """

    space: TargetSpace

    def project(self, style: Tensor, mels: Tensor) -> Tensor:
        """Return unit target vectors [B, D]; see `TargetSpace.project`."""
        return self.space.project(style, mels)

    def save(self, folder: str | Path) -> None:
        """Write ``targets.npz`` and ``config.json``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        space = {name: getattr(self.space, name).numpy() for name in ("mean", "std", "offset", "projection")}
        rows = {f"train_rows_{code}": rows for code, rows in enumerate(self.train_rows)}
        with atomic_path(folder / TARGETS_FILE) as temporary:
            write_npz(temporary, {"targets": self.targets, "centroids": self.centroids} | space | rows)
        config = {"genres": self.genres, "weight": self.space.weight, "exemplar_noise": self.exemplar_noise}
        write_json(folder / CONFIG_FILE, config)

    @classmethod
    def open(cls, folder: str | Path) -> StyleTargets:
        """Open what `save` wrote.

        Raises:
            FormatError: a file is missing or not in this format.
        """
        folder = Path(folder)
        try:
            config, arrays = read_json(folder / CONFIG_FILE), dict(np.load(folder / TARGETS_FILE))
            tensors = [torch.from_numpy(arrays[name]) for name in ("mean", "std", "offset", "projection")]
            mean, std, offset, projection = tensors
            space = TargetSpace(mean, std, config["weight"], offset, projection)
            rows = [arrays[f"train_rows_{code}"] for code in range(len(config["genres"]))]
            noise = config["exemplar_noise"]
            return cls(arrays["targets"], arrays["centroids"], config["genres"], rows, noise, space)
        except (OSError, ValueError, KeyError) as error:
            raise FormatError(folder, expected="style targets", found=str(error)) from error


def fit_targets(settings: StyleSettings, cache: ChunkCache, style: np.ndarray) -> StyleTargets:
    """Fit the target space on train rows and project every item.

    Args:
        settings: see `StyleSettings`.
        cache: the chunks.
        style: float32 [N, 128], Lab 1's style of every chunk.
    """
    music, train = cache.rows(), cache.rows("train")
    codes = cache.index["genre_code"].to_numpy()
    descriptors = np.full((len(style), 32), np.nan, np.float32)
    descriptors[music] = _descriptors(cache, music)
    mean, std = descriptors[train].mean(0), descriptors[train].std(0) + 1e-6
    blocks = np.concatenate([style, settings.descriptor_weight * unit((descriptors - mean) / std)], axis=1)
    offset, projection = np.zeros(blocks.shape[1], np.float32), np.eye(blocks.shape[1], dtype=np.float32)
    if settings.lda and len(cache.genres) > 2:
        # Imported here: it takes over a second to load, and who uses the targets does not fit them.
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        fitted = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit(blocks[train], codes[train])
        # The grand mean is the classes' mean weighted by their frequency, which a small genre should not move.
        offset = fitted.means_.mean(0).astype(np.float32)
        projection = fitted.scalings_[:, : len(cache.genres) - 1].astype(np.float32)
    tensors = [torch.from_numpy(np.asarray(array, np.float32)) for array in (mean, std, offset, projection)]
    space = TargetSpace(tensors[0], tensors[1], settings.descriptor_weight, tensors[2], tensors[3])
    targets = unit((blocks - offset) @ projection).astype(np.float32)
    rows = [train[codes[train] == code] for code in range(len(cache.genres))]
    centroids = np.stack([centroid(targets[own], settings.inlier_fraction) for own in rows])
    return StyleTargets(targets, centroids.astype(np.float32), cache.genres, rows, settings.exemplar_noise, space)


def _descriptors(cache: ChunkCache, rows: np.ndarray) -> np.ndarray:
    parts = np.array_split(rows, max(1, len(rows) // BATCH))
    return np.concatenate([descriptor32(from_model(cache.batch(part))).numpy() for part in parts])
