"""Is a trained path worth its training? Its scores less those of the best baseline, by pair of genres."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from soundgate.evaluation.gates import verdict
from soundgate.evaluation.groups import group_mean
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.audit.baselines import KIND
from soundgate.tracks.transfer.audit.summary import STAGE

# What has to be better than the best baseline's: column, and 1 where more is better, -1 where less is.
CRITERIA = {"sf": ("sf_held_out", 1), "nearer_db": ("to_truth_db", -1)}


@dataclass(frozen=True)
class Contest:
    """Paths against baselines.

    Args:
        best: criterion → the baseline that is best by it over all transfers; without ``nearer_db`` where no truth is
            known.
        pairs: one row for each path, ordered pair of genres and criterion: ``over`` (the path's score less that of
            the criterion's best baseline, positive where the path is better) with its interval over groups.
    """

    best: dict[str, str]
    pairs: pd.DataFrame


def contest(scored: pd.DataFrame, seed: int, n_bootstrap: int) -> Contest:
    """Hold every path's transfers against the best baseline of the same transfers.

    Args:
        scored: rows of kinds ``transfer`` and ``baseline``, see `soundgate.tracks.transfer.audit.scores.Scorer.score`.
        seed: of the resampling.
        n_bootstrap: resamples.
    """
    baselines = scored[scored["kind"] == KIND]
    best = {}
    for criterion, (column, sign) in CRITERIA.items():
        means = sign * baselines.groupby("path", sort=False)[column].mean()
        if means.notna().any():
            best[criterion] = str(means.idxmax())
    rows, transfers = [], scored[scored["kind"] == "transfer"]
    for criterion, name in best.items():
        column, sign = CRITERIA[criterion]
        own = baselines[baselines["path"] == name].set_index(["row", "target_genre"])[column]
        bound = own.reindex(pd.MultiIndex.from_frame(transfers[["row", "target_genre"]])).to_numpy()
        over = transfers.assign(over=sign * (transfers[column].to_numpy() - bound))
        for (path, source, target), pair in over.groupby(["path", "source_genre", "target_genre"], sort=True):
            generator = keyed_generator(seed, STAGE, f"over {criterion} {path} {source} {target}")
            one = group_mean(pair["over"].to_numpy(), pair["group"].to_numpy(), generator, n_bootstrap)
            known = {"path": path, "criterion": criterion, "baseline": name}
            rows.append(
                known
                | {"source_genre": source, "target_genre": target, "n_groups": one.n}
                | {"over": one.value, "over_low": one.ci_low, "over_high": one.ci_high}
            )
    return Contest(best, pd.DataFrame(rows))


def contest_gate(found: Contest, path: str) -> dict:
    """Judge whether a path beats the best baseline on every pair of genres, by every criterion.

    Returns:
        A verdict whose value counts the pairs on which the path is not better in the mean by some criterion. Its
        interval is from those shown to be worse (upper end of the difference below 0) to those not shown to be better
        (lower end at 0 or below, or none). The control is the number of pairs, on which doing nothing is not better.
    """
    own = found.pairs[found.pairs["path"] == path]
    keys = [own["source_genre"], own["target_genre"]]
    low, high = own["over_low"].astype(float), own["over_high"].astype(float)
    counts = [int(lost.groupby(keys).any().sum()) for lost in (high < 0, ~(own["over"] > 0), ~(low > 0))]
    worse, value, unshown = counts
    n_pairs = len(own[["source_genre", "target_genre"]].drop_duplicates())
    return verdict(value, "below", 0.0, (worse, unshown), int(own["n_groups"].min()), n_pairs)


def worst_pairs(found: Contest) -> pd.DataFrame:
    """Return the pair of genres on which each path is furthest behind, by criterion."""
    worst = found.pairs.groupby(["path", "criterion"], sort=True)["over"].idxmin()
    return found.pairs.loc[worst.to_numpy()].reset_index(drop=True)
