"""Linear probes that are scored on groups they never saw, each row once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.randomness import keyed_generator

STAGE = "transfer-leakage"
N_FOLDS = 5


@dataclass(frozen=True)
class Rows:
    """What the probes are told about the rows.

    Args:
        genre: str [N].
        source: str [N].
        group: str [N], the unit of splitting.
        fold: int [N], equal inside a group; each fold is the 20 % of one 80/20 split.
        unit: int [N], one number for each track: rows of one group, genre and source.
        seed: of permutations and bootstraps.
        n_bootstrap: resamples.
    """

    genre: np.ndarray
    source: np.ndarray
    group: np.ndarray
    fold: np.ndarray
    unit: np.ndarray
    seed: int
    n_bootstrap: int

    def estimate(self, values: np.ndarray, key: str) -> Estimate:
        """Return the mean of values [N] over the rows where they are finite, its interval over groups."""
        return group_mean(values, self.group, keyed_generator(self.seed, STAGE, key), self.n_bootstrap)


def make_rows(genre: np.ndarray, source: np.ndarray, group: np.ndarray, seed: int, n_bootstrap: int) -> Rows:
    """Deal groups out to folds, alike groups (of the same genres and sources) evenly.

    Args:
        genre: [N], any labels.
        source: [N].
        group: [N].
        seed: of the draws.
        n_bootstrap: resamples.
    """
    names = {"genre": genre, "source": source, "group": group}
    table = pd.DataFrame({name: np.asarray(labels).astype(str) for name, labels in names.items()})
    alike = (
        (table["genre"] + "\x1f" + table["source"])
        .groupby(table["group"])
        .agg(lambda own: "\x1e".join(sorted(set(own))))
    )
    dealt = []
    for stratum, groups in alike.groupby(alike, sort=True):
        dealt += keyed_generator(seed, STAGE, f"folds {stratum}").permutation(sorted(groups.index)).tolist()
    folds = {group: position % N_FOLDS for position, group in enumerate(dealt)}
    unit = table.groupby(["group", "genre", "source"]).ngroup().to_numpy()
    own = {name: table[name].to_numpy(dtype=str) for name in table}
    return Rows(**own, fold=table["group"].map(folds).to_numpy(), unit=unit, seed=seed, n_bootstrap=n_bootstrap)


def hits(features: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Fit on some rows and score others.

    Args:
        features: float [N, D].
        labels: [N].
        train: bool [N].
        test: bool [N].

    Returns:
        float [N]: 1 right, 0 wrong, NaN where not asked, or where no training row has the label, which leaves
        the probe no chance.
    """
    result = np.full(len(labels), np.nan)
    known = np.unique(labels[train])
    asked = test & np.isin(labels, known)
    if len(known) > 1 and asked.any():
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.1))
        result[asked] = probe.fit(features[train], labels[train]).predict(features[asked]) == labels[asked]
    return result


def held_out_hits(features: np.ndarray, labels: np.ndarray, rows: Rows) -> np.ndarray:
    """Return each row's hit by the probe that was fitted on the other folds, float [N]; see `hits`."""
    return _joined([hits(features, labels, rows.fold != fold, rows.fold == fold) for fold in range(N_FOLDS)])


def permuted_hits(features: np.ndarray, labels: np.ndarray, rows: Rows, key: str) -> np.ndarray:
    """Return hits as `held_out_hits` does where the labels of whole tracks were exchanged, anew for each fold."""
    _, first = np.unique(rows.unit, return_index=True)
    parts = []
    for fold in range(N_FOLDS):
        exchanged = keyed_generator(rows.seed, STAGE, f"{key} permuted {fold}").permutation(labels[first])[rows.unit]
        parts.append(hits(features, exchanged, rows.fold != fold, rows.fold == fold))
    return _joined(parts)


def left_out_hits(features: np.ndarray, rows: Rows) -> np.ndarray:
    """Return each row's genre hit by a probe that knows neither its source nor its group, float [N]; see `hits`."""
    sources_of_group = pd.Series(rows.source).groupby(rows.group).nunique()
    shared = pd.Series(rows.group).map(sources_of_group).to_numpy() > 1
    parts = []
    for source in np.unique(rows.source):
        own = rows.source == source
        # A group inside one source is left out with it; one that others share has to be left out by folds.
        folds = [rows.fold == fold for fold in range(N_FOLDS)] if shared[own].any() else [np.ones_like(own)]
        for held in folds:
            related = np.isin(rows.group, rows.group[own & held])
            parts.append(hits(features, rows.genre, ~own & ~related, own & held))
    return _joined(parts)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Return the one finite value of each row, or NaN."""
    joined = np.full(len(parts[0]), np.nan)
    for part in parts:
        joined = np.where(np.isfinite(part), part, joined)
    return joined
