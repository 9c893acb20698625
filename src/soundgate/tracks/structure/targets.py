"""What conditions are asked to predict of a frame: its difference, itself, its innovation, less confounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from soundgate.tracks.structure.linear import VectorAutoregression
from soundgate.tracks.structure.normaliser import Normaliser
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN, Chunk, Rows, Sequences

TARGETS = ("difference", "next", "innovation", "deconfounded")


class TargetChunk(NamedTuple):
    """Valid frames of a chunk: their numbers ``[n]`` and each target ``[n, D]``."""

    frames: np.ndarray
    values: dict[str, np.ndarray]


@dataclass(frozen=True)
class Confounds:
    """An additive model of the innovation on bins of confounds, fitted on train frames by least squares.

    Attributes:
        bins: bin of each frame for each confound, int ``[n_confounds, n_frames]``.
        effect: float64 ``[n_confounds, n_bins, D]``; the first confound carries the intercept.
    """

    bins: np.ndarray
    effect: np.ndarray

    def remove(self, innovation: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Return innovations ``[n, D]`` of some frames less what the confounds predict, in their precision."""
        left = innovation.copy()
        for effect, bins in zip(self.effect.astype(innovation.dtype), self.bins, strict=True):
            left -= effect[bins[frames]]
        return left


@dataclass(frozen=True)
class Targets:
    """The targets of every valid frame of some sequences.

    Attributes:
        sequences: the frames.
        frames: their normaliser.
        differences: the normaliser of x[t] - x[t-1].
        innovations: innovation of every frame by slice ``[n_frames, D]``.
        history: frames that must precede a valid frame.
        confounds: the confound model, or None before it is fitted.
    """

    sequences: Sequences
    frames: Normaliser
    differences: Normaliser
    innovations: Rows
    history: int
    confounds: Confounds | None = None

    def chunks(
        self, splits: tuple[int, ...] = (TRAIN, HOLDOUT, EVAL), names: tuple[str, ...] = TARGETS
    ) -> Iterator[TargetChunk]:
        """Yield the named targets of the valid frames of some splits, chunk by chunk."""
        valid = self.sequences.valid(self.history)
        for chunk in self.sequences.chunks(splits):
            rows = np.flatnonzero(valid[chunk.frames()])
            if len(rows):
                yield TargetChunk(chunk.begin + rows, self._values(chunk, rows, names))

    def _values(self, chunk: Chunk, rows: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        values = {}
        if "difference" in names:
            values["difference"] = self.differences(chunk.x[rows] - chunk.x[rows - 1])
        if "next" in names:
            values["next"] = self.frames(chunk.x[rows])
        if "innovation" in names or "deconfounded" in names:
            innovation = np.asarray(self.innovations[chunk.frames()])[rows]
            if "innovation" in names:
                values["innovation"] = innovation
            if "deconfounded" in names:
                values["deconfounded"] = self.confounds.remove(innovation, chunk.begin + rows)
        return values


@dataclass(frozen=True)
class FileRows:
    """Rows ``[n, D]`` of a raw file, read by slice: unlike a memory map, nothing read stays in the process."""

    path: Path
    dim: int
    dtype: np.dtype

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return rows ``[stop - start, D]``."""
        size = self.dim * self.dtype.itemsize
        count = (rows.stop - rows.start) * self.dim
        return np.fromfile(self.path, self.dtype, count, offset=rows.start * size).reshape(-1, self.dim)


def compute_innovations(
    sequences: Sequences, normaliser: Normaliser, model: VectorAutoregression, path: Path | None = None
) -> Rows:
    """Compute the innovation of every frame, into memory or, for long corpora, into a file.

    Args:
        sequences: the frames.
        normaliser: their z-scoring.
        model: the linear model.
        path: where to keep the rows; None for memory.

    Returns:
        Rows ``[n_frames, D]``; only frames with ``model.order`` frames before them in their utterance are meaningful.
    """
    innovations = (model.innovation(normaliser(chunk.x)) for chunk in sequences.chunks())
    if path is None:
        return np.concatenate(list(innovations))
    with open(path, "wb") as file:
        for block in innovations:
            block.tofile(file)
    return FileRows(path, sequences.dim, sequences.dtype)


def confound_bins(sequences: Sequences, history: int, n_bins: int) -> np.ndarray:
    """Return bins of the confounds: energy of the frame, energy of the frame before, position in the utterance.

    Args:
        sequences: the frames.
        history: frames that must precede a frame for it to count in the energy quantiles (train frames only).
        n_bins: bins of each confound; energies by train quantiles, position evenly.

    Returns:
        int16 ``[3, n_frames]``.
    """
    train = (sequences.split[sequences.utterance] == TRAIN) & sequences.valid(history)
    edges = np.quantile(sequences.energy[train], np.linspace(0, 1, n_bins + 1)[1:-1])
    energy = np.searchsorted(edges, sequences.energy, side="right")
    position = np.minimum((sequences.position * n_bins).astype(int), n_bins - 1)
    return np.stack([energy, np.roll(energy, 1), position]).astype(np.int16)


def fit_confounds(targets: Targets, n_bins: int) -> Confounds:
    """Fit the additive model of the innovation on the confounds' bins, on train frames.

    Args:
        targets: the targets; their innovation is used.
        n_bins: bins of each confound.

    Returns:
        The model, by the least-norm solution of the normal equations of the one-hot bins.
    """
    bins = confound_bins(targets.sequences, targets.history, n_bins)
    size = len(bins) * n_bins
    gram, cross = np.zeros((size, size)), np.zeros((size, targets.sequences.dim))
    for frames, values in targets.chunks((TRAIN,), ("innovation",)):
        design = np.concatenate([np.eye(n_bins)[b[frames]] for b in bins], axis=1)
        gram += design.T @ design
        cross += design.T @ values["innovation"].astype(np.float64)
    effect = np.linalg.pinv(gram, hermitian=True) @ cross
    return Confounds(bins, effect.reshape(len(bins), n_bins, -1))
