"""Phase 1 on recordings it never saw: with the true labels, with others at every beat, and beside what has no model."""

from __future__ import annotations

import numpy as np
import pandas as pd
from torch import nn

from soundgate.evaluation.groups import group_mean
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.cache import CachedPair, PairCache
from soundgate.tracks.editor.features import FeatureSettings
from soundgate.tracks.editor.reconstruct.measures import kept_share, other_labels, stft_distance
from soundgate.tracks.editor.reconstruct.model import reconstruct_recording
from soundgate.tracks.editor.reconstruct.rule import rule_recording
from soundgate.tracks.editor.vocabulary import BEAT_LABELS
from soundgate.tracks.editor.windows import beat_numbers

STAGE = "editor-audit"
KINDS = ("labels", "rule", "swapped", "raw")
MEASURES = ("l1", "l1_db", "stft", "keep")


def reconstruction_table(cache: PairCache, rows: np.ndarray, model: nn.Module, seed: int) -> pd.DataFrame:
    """Measure the model on whole recordings.

    Args:
        cache: of the pairs.
        rows: int64, which.
        model: phase 1's, frozen.
        seed: of the exchange of labels.

    Returns:
        One row for each pair and kind: ``pair_id``, ``group``, ``kind``: ``labels`` (the true ones), ``rule`` (no
        model, the true labels' definitions), ``swapped`` (another one at every beat) or ``raw`` (no model, no edit);
        ``MEASURES``; and the distance in dB of the frames of each label, by its name, nan where there are none.
    """
    found = []
    for row in rows:
        known, pair = cache.table.iloc[int(row)], cache.pair(int(row))
        swapped = other_labels(pair.labels, keyed_generator(seed, STAGE, f"swap {known['pair_id']}"))
        made = {
            "labels": reconstruct_recording(model, pair.raw, pair.edges, pair.labels),
            "swapped": reconstruct_recording(model, pair.raw, pair.edges, swapped),
            "raw": pair.raw,
            "rule": rule_recording(pair.raw, pair.edges, pair.labels, cache.settings.range_db),
        }
        named = {"pair_id": known["pair_id"], "group": known["group"]}
        found += [named | {"kind": kind} | _measured(pair, own, cache.settings) for kind, own in made.items()]
    return pd.DataFrame(found)


def summarise(table: pd.DataFrame, seed: int, n_bootstrap: int) -> dict:
    """Return each kind's measures as estimates over groups, and by how much the L1 of the other kinds is higher.

    Args:
        table: from `reconstruction_table`.
        seed: of the resampling.
        n_bootstrap: resamples.

    Returns:
        By kind its measures, and its distances ``by_label`` in dB; ``swapped_over_labels`` and ``raw_over_labels`` in
        the models' scale; ``rule_over_labels`` in dB, and the same ``rule_over_labels_by_label``.
    """
    by_pair = table.set_index(["kind", "pair_id"]).sort_index()
    wide = table.pivot(index="pair_id", columns="kind", values="l1")
    groups = table.drop_duplicates("pair_id").set_index("pair_id")["group"].loc[wide.index]
    present = [label.name for label in BEAT_LABELS if table[label.name].notna().any()]

    def mean(values, of, name: str) -> dict:
        return group_mean(values, of, keyed_generator(seed, STAGE, f"phase 1 {name}"), n_bootstrap).as_dict()

    result = {
        kind: {name: mean(own[name], own["group"], f"{kind} {name}") for name in MEASURES}
        for kind, own in table.groupby("kind")
    }
    for kind, own in table.groupby("kind"):
        result[kind]["by_label"] = {name: mean(own[name], own["group"], f"{kind} {name}") for name in present}
    for kind in ("swapped", "raw"):
        result[f"{kind}_over_labels"] = mean(wide[kind] - wide["labels"], groups, f"{kind} over labels")
    compared = ["l1_db", *present]
    over = by_pair.loc["rule", compared] - by_pair.loc["labels", compared]
    groups = groups.loc[over.index]
    result["rule_over_labels"] = mean(over["l1_db"], groups, "rule over labels")
    result["rule_over_labels_by_label"] = {
        name: mean(over[name], groups, f"rule over labels {name}") for name in present
    }
    return result


def _measured(pair: CachedPair, made: np.ndarray, features: FeatureSettings) -> dict[str, float]:
    apart = np.abs(made - pair.target).mean(axis=1)
    l1, labels = float(apart.mean()), pair.labels[beat_numbers(pair.edges)]
    by_label = {
        label.name: float(apart[labels == label].mean() * features.range_db) if np.any(labels == label) else np.nan
        for label in BEAT_LABELS
    }
    return by_label | {
        "l1": l1,
        "l1_db": l1 * features.range_db,
        "stft": stft_distance(made, pair),
        "keep": kept_share(made, pair, features.range_db),
    }
