"""The seed's own numbers, so that its decision can be reproduced beside the sound one.

The target is the difference x[t] - x[t-1], z-scored per dimension with train statistics. Every ratio uses the means
of the very frames it is computed on, over cells with enough train frames.
"""

from __future__ import annotations

import numpy as np

from soundgate.tracks.structure.cells import CellStatistics
from soundgate.tracks.structure.sequences import EVAL, TRAIN
from soundgate.tracks.structure.targets import Targets

VARIANCE_FLOOR = 1e-10
STRATA = {"all": (0, 1, 2, 3), "high_energy": (1, 3), "medial": (2, 3)}


def slice_statistics(
    targets: Targets, ids: np.ndarray, cells: np.ndarray, slices: dict[str, np.ndarray], split: int
) -> dict[str, CellStatistics]:
    """Return the statistics of the differences in some cells, for every slice of a split.

    Args:
        targets: what is predicted.
        ids: cell of every frame, int ``[n_frames]``.
        cells: the cells to keep, rising.
        slices: masks of the slices, bool ``[n_frames]``.
        split: TRAIN or EVAL.

    Returns:
        For each slice the statistics of ``cells`` in their order. Frames are added once, by stratum, then pooled.
    """
    dim, n = targets.sequences.dim, max(len(cells), 1)
    strata = CellStatistics.empty(4 * n, dim, squares=True)
    stratum = slices["high_energy"] + 2 * slices["medial"]
    for frames, values in targets.chunks((split,), ("difference",)):
        place = np.minimum(np.searchsorted(cells, ids[frames]), n - 1)
        keep = cells[place] == ids[frames] if len(cells) else np.zeros(len(frames), bool)
        strata.add(4 * place[keep] + stratum[frames][keep], values["difference"][keep])
    count, total, square = (a.reshape(n, 4, *a.shape[1:]) for a in (strata.count, strata.total, strata.square))
    found = {}
    for name, chosen in STRATA.items():
        n_in, total_in, square_in = (a[:, list(chosen)].sum(1) for a in (count, total, square))
        found[name] = CellStatistics(n_in, total_in, float(square_in.sum()), square_in)
    return found


def effective_cells(ids: np.ndarray, train: np.ndarray, min_frames: int) -> np.ndarray:
    """Return the cells with at least ``min_frames`` train frames, rising; ``train`` is bool ``[n_frames]``."""
    cells, count = np.unique(ids[train], return_counts=True)
    return cells[count >= min_frames]


def variance_ratio(statistics: CellStatistics) -> float:
    """Return SSE within cells / SSE total of the frames held; NaN where there are none."""
    total = statistics.sse_total()
    return statistics.sse_within() / total if total > 0 else float("nan")


def expected_random_ratio(n_cells: int, n_frames: int) -> float:
    """Return what the in-sample ratio of cells drawn at random is on average: 1 - (K - 1) / (N - 1)."""
    return 1.0 - (n_cells - 1) / (n_frames - 1) if n_frames > 1 else float("nan")


def entropies(statistics: CellStatistics) -> dict[str, float]:
    """Return the Gaussian entropy, the one given the cells, their relative and their per-dimension difference.

    H = 1/2 sum over d of log var_d with the additive constant left out, as the seed does: H is near 0 for z-scored
    targets, so the relative reduction is ill-conditioned and the difference in nats per dimension stands beside it.
    """
    n, dim = statistics.count.sum(), statistics.total.shape[1]
    marginal = _half_log_variance(statistics.square.sum(0) / n, statistics.total.sum(0) / n)
    filled = statistics.count > 0
    count = statistics.count[filled]
    inside = _half_log_variance(statistics.square[filled] / count[:, None], statistics.total[filled] / count[:, None])
    conditional = float((count / n) @ inside)
    return {
        "entropy": float(marginal),
        "conditional_entropy": conditional,
        "entropy_reduction": (marginal - conditional) / marginal if marginal else float("nan"),
        "entropy_reduction_nats_per_dim": (marginal - conditional) / dim,
    }


def _half_log_variance(mean_square: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return 0.5 * np.log(np.maximum(mean_square - np.square(mean), VARIANCE_FLOOR)).sum(-1)


def seed_metrics(
    targets: Targets, ids: np.ndarray, slices: dict[str, np.ndarray], min_frames: int
) -> tuple[dict, CellStatistics]:
    """Return the seed's numbers for one condition at one lag.

    Args:
        targets: what is predicted.
        ids: cell of every frame, int ``[n_frames]``, -1 where a frame is not valid.
        slices: masks of the slices, bool ``[n_frames]``.
        min_frames: train frames that make a cell effective.

    Returns:
        Ratios per slice on train and eval, degradation, entropies, effective cells and the share of frames they
        leave out; and the statistics of the effective cells on all train frames.
    """
    sequences = targets.sequences
    split, valid = sequences.split[sequences.utterance], sequences.valid(targets.history)
    cells = effective_cells(ids, valid & (split == TRAIN), min_frames)
    train = slice_statistics(targets, ids, cells, slices, TRAIN)
    held = slice_statistics(targets, ids, cells, slices, EVAL)
    ratio, ratio_held = variance_ratio(train["all"]), variance_ratio(held["all"])
    n_train = train["all"].count.sum()
    numbers = {
        "n_effective": len(cells),
        "excluded_train": _share_left_out(n_train, (valid & (split == TRAIN)).sum()),
        "excluded_eval": _share_left_out(held["all"].count.sum(), (valid & (split == EVAL)).sum()),
        "variance_ratio_train": {name: variance_ratio(s) for name, s in train.items()},
        "variance_ratio_eval": {name: variance_ratio(s) for name, s in held.items()},
        "expected_random_ratio": expected_random_ratio(len(cells), int(n_train)),
        "degradation": (ratio_held - ratio) / ratio if ratio > 0 else float("nan"),
        **(entropies(train["all"]) if len(cells) else {}),
    }
    return numbers, train["all"]


def _share_left_out(inside: float, n: int) -> float:
    return 1.0 - float(inside) / n if n else 1.0
