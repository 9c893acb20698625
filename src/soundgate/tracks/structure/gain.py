"""Held-out gain of a condition: fitted on train frames, scored on other utterances and speakers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soundgate.evaluation.statistics import Estimate, ratio_estimate
from soundgate.tracks.structure.cells import CellStatistics, shrunk_means
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN, Sequences
from soundgate.tracks.structure.targets import TARGETS, Targets

VARIANCE_FLOOR = 1e-10
# Frames the pooled variance counts for in a cell's own; the hold-out chooses.
SMOOTHING = (10.0, 1000.0, 1e5)


@dataclass(frozen=True)
class HeldOutFrames:
    """The valid frames outside train and what they are grouped by; all ``[n]``."""

    frames: np.ndarray
    speaker: np.ndarray
    split: np.ndarray
    slices: dict[str, np.ndarray]

    @classmethod
    def of(cls, sequences: Sequences, history: int, medial: tuple[float, float]) -> HeldOutFrames:
        """Collect the hold-out and eval frames with at least ``history`` frames before them."""
        split = sequences.split[sequences.utterance]
        frames = np.flatnonzero(sequences.valid(history) & (split != TRAIN))
        speaker = sequences.speaker[sequences.utterance[frames]]
        return cls(frames, speaker, split[frames], {k: v[frames] for k, v in slice_masks(sequences, medial).items()})


def slice_masks(sequences: Sequences, medial: tuple[float, float]) -> dict[str, np.ndarray]:
    """Return which frames belong to each slice, bool ``[n_frames]``; slices filter, nothing is fitted anew."""
    return {
        "all": np.ones(sequences.n_frames, bool),
        "high_energy": sequences.high_energy,
        "medial": (sequences.position >= medial[0]) & (sequences.position <= medial[1]),
    }


@dataclass(frozen=True)
class Errors:
    """Squared errors and code lengths of held-out frames.

    Attributes:
        squared: summed over dimensions, for each target ``[n]``.
        nats: negative log-likelihood of the innovation in nats a frame ``[n]``, as a Gaussian of the cell's shrunk
            mean and smoothed variances.
        epsilon_squared: in-sample share of the innovation's variance, corrected for the number of cells.
        occupied: cells with train frames.
        unseen: share of held-out frames in cells without train frames.
    """

    squared: dict[str, np.ndarray]
    nats: np.ndarray
    epsilon_squared: float
    occupied: int
    unseen: float


def held_out_errors(targets: Targets, ids: np.ndarray, held: HeldOutFrames, names: tuple[str, ...] = TARGETS) -> Errors:
    """Score a condition: cell means, shrunk, from train frames; errors on the frames outside train.

    Args:
        targets: what is predicted.
        ids: cell of every frame, int ``[n_frames]``; all zeros is the baseline, the train mean.
        held: the frames to score.
        names: the targets to score; the innovation is always among them.

    Returns:
        The errors, in the order of ``held``.
    """
    cells, labels = _compact(ids, targets.sequences, targets.history)
    dim, size = targets.sequences.dim, len(cells) + 1
    statistics = {name: CellStatistics.empty(size, dim, squares=name == "innovation") for name in names}
    for frames, values in targets.chunks((TRAIN,), names):
        for name in names:
            statistics[name].add(labels[frames], values[name])
    dtype = targets.sequences.dtype
    innovation = statistics["innovation"]
    means = {}
    for name in names:
        # Dropped one by one: with tens of thousands of cells the sums are what fills the memory.
        s = statistics.pop(name)
        means[name] = shrunk_means(s.count, s.total, s.sse_within()).astype(dtype)
    spreads = [_gaussian_spread(innovation, weight, dtype) for weight in SMOOTHING]
    epsilon_squared = _epsilon_squared(innovation)
    del innovation, s
    squared, nats = _score(targets, labels, held, means, spreads)
    seen = held.split == HOLDOUT
    chosen = int(np.argmin(nats[:, seen].sum(1))) if seen.any() else len(SMOOTHING) - 1
    unseen = float(np.mean(labels[held.frames] == len(cells))) if len(held.frames) else 0.0
    return Errors(squared, nats[chosen], epsilon_squared, len(cells), unseen)


def _compact(ids: np.ndarray, sequences: Sequences, history: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells that hold train frames and every frame's place among them (past the end: none)."""
    train = (sequences.split[sequences.utterance] == TRAIN) & sequences.valid(history)
    cells = np.unique(ids[train])
    place = np.minimum(np.searchsorted(cells, ids), len(cells) - 1)
    return cells, np.where(cells[place] == ids, place, len(cells))


def _score(
    targets: Targets,
    labels: np.ndarray,
    held: HeldOutFrames,
    means: dict[str, np.ndarray],
    spreads: list[tuple[np.ndarray, np.ndarray]],
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return squared errors by target ``[n]`` and nats for each choice of spreads ``[choices, n]``."""
    squared = {name: np.empty(len(held.frames)) for name in means}
    nats = np.empty((len(spreads), len(held.frames)))
    for frames, values in targets.chunks((HOLDOUT, EVAL), tuple(means)):
        rows, cell = np.searchsorted(held.frames, frames), labels[frames]
        for name, y in values.items():
            deviation = np.square(y - means[name][cell])
            squared[name][rows] = deviation.sum(1, dtype=np.float64)
            if name == "innovation":
                for i, (constant, precision) in enumerate(spreads):
                    nats[i, rows] = constant[cell] + 0.5 * np.einsum("nd,nd->n", deviation, precision[cell])
    return squared, nats


def _gaussian_spread(statistics: CellStatistics, weight: float, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return each cell's constant of the Gaussian code length in nats ``[K]`` and its precisions ``[K, D]``.

    Variances are pulled to the pooled one with the weight of so many frames.
    """
    n, filled = statistics.count.sum(), (statistics.count > 0).sum()
    count = statistics.count[:, None]
    inside = np.maximum(statistics.square - np.square(statistics.total) / np.maximum(count, 1), 0)
    pooled = inside.sum(0) / max(n - filled, 1)
    variance = np.maximum((inside + weight * pooled) / (count + weight), VARIANCE_FLOOR)
    return 0.5 * np.log(2 * np.pi * variance).sum(1), (1 / variance).astype(dtype)


def _epsilon_squared(statistics: CellStatistics) -> float:
    """Return 1 - (SSE within / (N - K)) / (SSE total / (N - 1)).

    Source: Kelley 1935, epsilon squared.
    """
    n, k = statistics.count.sum(), (statistics.count > 0).sum()
    total = statistics.sse_total()
    if n <= k or total <= 0:
        return float("nan")
    return float(1 - (statistics.sse_within() / (n - k)) / (total / (n - 1)))


def gain_estimate(
    error: np.ndarray,
    baseline: np.ndarray,
    held: HeldOutFrames,
    mask: np.ndarray,
    generator: np.random.Generator,
    n_bootstrap: int,
) -> Estimate:
    """Estimate 1 - sum(error) / sum(baseline) over some held-out frames, with an interval over speakers.

    Args:
        error: squared errors given the condition ``[n]``.
        baseline: squared errors around the train mean ``[n]``.
        held: whose frames they are.
        mask: which to use, bool ``[n]``.
        generator: for the bootstrap.
        n_bootstrap: resamples.

    Returns:
        The gain; models stay as fitted, only speakers are resampled.
    """
    _, unit = np.unique(held.speaker[mask], return_inverse=True)
    saved = np.bincount(unit, weights=(baseline - error)[mask])
    return ratio_estimate(saved, np.bincount(unit, weights=baseline[mask]), generator, n_bootstrap)
