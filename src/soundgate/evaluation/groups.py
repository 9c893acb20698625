"""Means with intervals over groups: renderings of one score, chunks of one track, are not independent."""

from __future__ import annotations

import numpy as np
import pandas as pd

from soundgate.evaluation.statistics import Estimate, ratio_estimate


def group_mean(values: np.ndarray, groups: np.ndarray, generator: np.random.Generator, n_bootstrap: int) -> Estimate:
    """Estimate the mean of values whose groups are the independent units.

    Args:
        values: float [n]; what is not finite is left out.
        groups: [n], any labels.
        generator: of the resampling.
        n_bootstrap: resamples.
    """
    table = pd.DataFrame({"value": np.asarray(values, float), "group": np.asarray(groups)})
    table = table[np.isfinite(table["value"])]
    sums = table.groupby("group")["value"].agg(["sum", "size"])
    return ratio_estimate(sums["sum"].to_numpy(), sums["size"].to_numpy(), generator, n_bootstrap)
