"""The audit's figures with intervals: sources and targets are the independent units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.pairs import pair_mean, pair_share
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.audit.hearing import MEASURES
from soundgate.tracks.voice.audit.pairs import UNSEEN
from soundgate.tracks.voice.audit.reconstruction import FIGURES
from soundgate.tracks.voice.audit.run import Audit
from soundgate.tracks.voice.audit.systems import CONVERTED, COPY_SYNTHESIS, PITCH_SHIFT, RANDOM
from soundgate.tracks.voice.baselines.methods import BASELINES

STAGE = "voice-audit"


def summarise(audit: Audit, seed: int, n_bootstrap: int) -> dict:
    """Return every figure as an estimate.

    Args:
        audit: see `Audit`.
        seed: of the resampling.
        n_bootstrap: resamples.

    Returns:
        ``systems``: split to system to ``MEASURES``, ``closer`` (share of pairs that the judge hears closer to the
        target than to the source), ``encoder_closer`` (by the training's encoder), ``follows`` (similarity to the
        target less that to uninvolved speakers) and ``content_margin``; ``over``: by how much the conversions of
        unseen speakers are more similar to the target than those of each control and baseline;
        ``encoder_over_judge``: by how much the training's encoder hears a larger gap than the judge;
        ``reconstruction``: method to ``FIGURES``; ``reconstruction_over_random``: by how many dB reconstructions are
        nearer than those of random weights.
    """

    def estimate(how: Callable, values: pd.Series, rows: pd.DataFrame, name: str) -> dict:
        generator = keyed_generator(seed, STAGE, f"bootstrap {name}")
        found: Estimate = how(
            values.to_numpy(), rows["source"].to_numpy(), rows["target"].to_numpy(), generator, n_bootstrap
        )
        return found.as_dict()

    systems: dict[str, dict] = {}
    for (split, system), rows in audit.pairs.groupby(["split", "system"], sort=False):
        name = f"{split} {system}"
        own = {measure: estimate(pair_mean, rows[measure], rows, f"{name} {measure}") for measure in MEASURES}
        for share, gap in (("closer", "similarity_gap"), ("encoder_closer", "encoder_similarity_gap")):
            own[share] = estimate(pair_share, rows[gap] > 0, rows, f"{name} {share}")
        follows = rows["similarity_to_target"] - rows["similarity_to_others"]
        own["follows"] = estimate(pair_mean, follows, rows, f"{name} follows")
        margin = rows["content_agreement"] - rows["content_shuffled"]
        own["content_margin"] = estimate(pair_mean, margin, rows, f"{name} content margin")
        systems.setdefault(split, {})[system] = own
    unseen = audit.pairs[audit.pairs["split"] == UNSEEN]
    converted = unseen[unseen["system"] == CONVERTED]
    wide = unseen.pivot_table("similarity_to_target", ["source", "target", "utterance"], "system").reset_index()
    return {
        "systems": systems,
        "over": {
            name: estimate(pair_mean, wide[CONVERTED] - wide[name], wide, f"over {name}")
            for name in (PITCH_SHIFT, COPY_SYNTHESIS, RANDOM, *BASELINES)
        },
        "encoder_over_judge": estimate(
            pair_mean, converted["encoder_similarity_gap"] - converted["similarity_gap"], converted, "encoder"
        ),
        **_reconstruction(audit.reconstruction, seed, n_bootstrap),
    }


def _reconstruction(table: pd.DataFrame, seed: int, n_bootstrap: int) -> dict:
    def mean(values: np.ndarray, groups: np.ndarray, name: str) -> dict:
        return group_mean(values, groups, keyed_generator(seed, STAGE, f"bootstrap {name}"), n_bootstrap).as_dict()

    wide = table.pivot(index="row", columns="method", values="mel_db")
    speakers = table.drop_duplicates("row").set_index("row")["source"].loc[wide.index].to_numpy()
    nearer = (wide[RANDOM] - wide[COPY_SYNTHESIS]).to_numpy()
    return {
        "reconstruction": {
            method: {name: mean(own[name].to_numpy(), own["source"].to_numpy(), f"{method} {name}") for name in FIGURES}
            for method, own in table.groupby("method", sort=False)
        },
        "reconstruction_over_random": mean(nearer, speakers, "reconstruction over random"),
    }
