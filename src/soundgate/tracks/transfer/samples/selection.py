"""Which transfers stand in the sample pack: for each pair of genres, clips of different scores."""

from __future__ import annotations

from collections import Counter

import pandas as pd


def choose_clips(plan: pd.DataFrame, groups: pd.Series, clips_per_pair: int) -> pd.DataFrame:
    """Choose what the pack shows, spread over as many scores as there are.

    Args:
        plan: see `plan_transfers`; only its rows of kind ``transfer`` are shown.
        groups: the cache's column ``group``, by row: the score, or what stands for it.
        clips_per_pair: for each path and ordered pair of genres; fewer where the plan has fewer.

    Returns:
        Rows of the plan, pair by pair; every path shows the same clips. A pair takes another score for each of its
        clips as long as it has one, the one that the pack has used least, and of it the first chunk not yet taken.
    """
    transfers = plan[plan["kind"] == "transfer"]
    used: Counter = Counter()
    wanted: set[tuple] = set()
    chosen = transfers[["source_genre", "target_genre", "row"]].drop_duplicates()
    for pair, own in chosen.groupby(["source_genre", "target_genre"], sort=False):
        in_pair: Counter = Counter()
        left = [(groups.iloc[row], row) for row in own["row"]]
        for _ in range(min(clips_per_pair, len(left))):
            group, row = min(left, key=lambda item: (in_pair[item[0]], used[item[0]], *item))
            left.remove((group, row))
            in_pair[group] += 1
            used[group] += 1
            wanted.add((*pair, row))
    keys = zip(transfers["source_genre"], transfers["target_genre"], transfers["row"], strict=True)
    return transfers[[key in wanted for key in keys]]
