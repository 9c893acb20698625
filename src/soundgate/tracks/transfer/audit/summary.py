"""What the transfers' scores come to: by path and kind, beside controls, by pair of genres, by target."""

from __future__ import annotations

import numpy as np
import pandas as pd

from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.audit.scores import SCORERS, Scorer, mels_of

STAGE = "transfer-audit"
SCORES = [
    *(f"{name}_{scorer}" for scorer in SCORERS for name in ("mps", "mps_mismatched", "retrieved", "sf", "is_target")),
    *(f"{name}_{scorer}" for scorer in SCORERS for name in ("style_margin", "style_certainty")),
    "continuity", "centroid_hz", "hf_lf_db", "to_truth_db", "source_to_truth_db", "closer_db", "chroma", "onset_f1",
]  # fmt: skip


def control_outputs(scorer: Scorer, wanted: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return what needs no model: the source itself, and a real chunk of the target genre, for every transfer.

    Args:
        scorer: gives the cache.
        wanted: the transfers, ``row``, ``source_genre``, ``target_genre``.
        seed: of the draws.

    Returns:
        The table with ``kind`` ``no_transfer``, ``real_target`` (of another group than the source) or ``true_target``
        (the source's own music in the target genre, where there is one), and the spectrograms [n, n_mels, 256] dB.
    """
    cache, generator = scorer.cache, keyed_generator(seed, STAGE, "real targets")
    index = cache.index
    genre, group = index["genre"].to_numpy(), index["group"].to_numpy()
    chosen = []
    for row, target in zip(wanted["row"], wanted["target_genre"], strict=True):
        candidates = [r for r in scorer.test_rows if genre[r] == target and group[r] != group[row]]
        chosen.append(
            {
                "no_transfer": row,
                "real_target": generator.choice(candidates) if candidates else -1,
                "true_target": next(iter(cache.true_rows(row, target)), -1),
            }
        )
    rows = pd.DataFrame(chosen, index=wanted.index)
    columns = ["row", "source_genre", "target_genre"]
    tables = [
        wanted.loc[rows[kind] >= 0, columns].assign(kind=kind, heard=rows.loc[rows[kind] >= 0, kind]) for kind in rows
    ]
    table = pd.concat(tables, ignore_index=True).assign(path="control")
    return table.drop(columns="heard"), mels_of(cache, table["heard"].to_numpy())


def estimates(scored: pd.DataFrame, columns: list[str], seed: int, n_bootstrap: int) -> dict[str, Estimate]:
    """Return each column's mean with its interval over groups."""
    generator = keyed_generator(seed, STAGE, "bootstrap")
    return {
        name: group_mean(scored[name].to_numpy(), scored["group"].to_numpy(), generator, n_bootstrap)
        for name in columns
    }


def by_kind(scored: pd.DataFrame, seed: int, n_bootstrap: int) -> dict[str, dict[str, dict]]:
    """Return path → kind → score → estimate, controls under path ``control``."""
    result: dict = {}
    for (path, kind), own in scored.groupby(["path", "kind"], sort=False):
        values = estimates(own, SCORES, seed, n_bootstrap)
        result.setdefault(path, {})[kind] = {name: value.as_dict() for name, value in values.items()}
    return result


def by_pair(transfers: pd.DataFrame, seed: int, n_bootstrap: int) -> pd.DataFrame:
    """Return one row for each path and ordered pair of genres: means, and ``closer_db`` with its interval."""
    rows = []
    for (path, source, target), own in transfers.groupby(["path", "source_genre", "target_genre"], sort=True):
        closer = estimates(own, ["closer_db"], seed, n_bootstrap)["closer_db"]
        means = own[["mps_held_out", "sf_held_out", "source_to_truth_db", "to_truth_db"]].mean()
        interval = {"closer_db": closer.value, "closer_low_db": closer.ci_low, "closer_high_db": closer.ci_high}
        known = {"path": path, "source_genre": source, "target_genre": target, "n_groups": closer.n}
        rows.append(known | means.to_dict() | interval)
    return pd.DataFrame(rows)


def by_target(transfers: pd.DataFrame) -> pd.DataFrame:
    """Return the means of every score for each path and target genre."""
    return transfers.groupby(["path", "target_genre"], sort=True)[SCORES].mean().reset_index()


def diversity(transfers: pd.DataFrame, mels: np.ndarray) -> dict[str, float]:
    """Return for each path the mean correlation between outputs of different music for one target: low is diverse."""
    result = {}
    for path, own in transfers.groupby("path", sort=False):
        values = []
        for _, rows in own.groupby("target_genre"):
            flat = mels[rows.index].astype(np.float32).reshape(len(rows), -1)
            flat = flat - flat.mean(1, keepdims=True)
            flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
            different = rows["group"].to_numpy()[:, None] != rows["group"].to_numpy()[None, :]
            if different.any():
                values.append(float((flat @ flat.T)[different].mean()))
        result[path] = float(np.mean(values)) if values else float("nan")
    return result
