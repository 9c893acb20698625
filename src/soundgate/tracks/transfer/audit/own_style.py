"""Asked for the style that a source has already, how much does a path change it?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from soundgate.evaluation.gates import verdict
from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.audit.baselines import baseline_outputs
from soundgate.tracks.transfer.audit.scores import Scorer, mels_of
from soundgate.tracks.transfer.audit.summary import STAGE

EQUALISER = "equaliser"


def own_style(
    scorer: Scorer, transfers: pd.DataFrame, mels: np.ndarray, seed: int, n_bootstrap: int
) -> dict[str, dict[str, Estimate]]:
    """Measure how far outputs in the sources' own styles are from the sources.

    Args:
        scorer: gives the cache.
        transfers: ``path``, ``kind``, ``row``, ``source_genre``, ``target_genre``; of kind ``identity`` are those that
            were asked for their own style.
        mels: the outputs [R, n_mels, 256] dB.
        seed: of the resampling.
        n_bootstrap: resamples.

    Returns:
        By path ``change_db`` (mean distance of spectrograms to the source), ``equaliser_db`` (that of the equaliser,
        asked for the same) and ``over_equaliser_db``, the difference; intervals over groups. A path without such
        outputs is left out.
    """
    asked = transfers.reset_index(drop=True)
    asked = asked[asked["kind"] == "identity"]
    group, found = scorer.cache.index["group"].to_numpy(), {}
    for path, own in asked.groupby("path", sort=False):
        table, baselines = baseline_outputs(scorer, own, (EQUALISER,))
        # Genres without a training row have no equaliser.
        own = own[own["row"].isin(table["row"])]
        equalised = pd.Series(list(baselines), index=table["row"]).reindex(own["row"])
        sources = mels_of(scorer.cache, own["row"].to_numpy())
        change = np.abs(mels[own.index].astype(np.float32) - sources).mean(axis=(1, 2))
        bound = np.abs(np.stack(equalised.to_list()) - sources).mean(axis=(1, 2))
        figures = {"change_db": change, "equaliser_db": bound, "over_equaliser_db": change - bound}
        found[path] = {
            name: group_mean(
                values, group[own["row"]], keyed_generator(seed, STAGE, f"own style {path} {name}"), n_bootstrap
            )
            for name, values in figures.items()
        }
    return found


def own_style_gate(found: dict[str, Estimate]) -> dict:
    """Judge whether a path changes a source in its own style no more than the equaliser does.

    Returns:
        A verdict on ``over_equaliser_db``. The source as it is passes; what does not depend on its source fails.
    """
    over = found["over_equaliser_db"]
    return verdict(over.value, "below", 0.0, (over.ci_low, over.ci_high), over.n)
