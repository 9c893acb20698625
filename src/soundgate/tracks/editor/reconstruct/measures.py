"""How well phase 1 does what labels say, on whole recordings."""

from __future__ import annotations

import numpy as np
import torch

from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.cache import CachedPair, PairCache
from soundgate.tracks.editor.reconstruct.losses import multi_resolution_loss
from soundgate.tracks.editor.reconstruct.model import Reconstruction, reconstruct_recording
from soundgate.tracks.editor.reconstruct.rule import rule_recording
from soundgate.tracks.editor.vocabulary import BEAT_LABELS, Label
from soundgate.tracks.editor.windows import beat_numbers

# How far a kept value may be from the raw recording's.
KEPT_DB = 1.0


def other_labels(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return for each label another one, int64 [N], all equally likely."""
    return (labels + generator.integers(1, len(BEAT_LABELS), len(labels))) % len(BEAT_LABELS)


def measure(model: Reconstruction, cache: PairCache, rows: np.ndarray, seed: int, stage: str) -> dict[str, float]:
    """Measure a model on whole recordings.

    Args:
        model: in evaluation mode.
        cache: the pairs.
        rows: of the cache, at least one.
        seed: of the swapped labels.
        stage: likewise.

    Returns:
        ``l1`` and ``l1_db``, mean distance to the target, and ``stft`` (`multi_resolution_loss`); ``keep``, the mean
        share of KEEP frames' values within 1 dB of the raw recording; the controls ``l1_raw`` (of the raw recording
        itself, as if all were kept) and ``l1_swapped`` (with other labels at every beat; a model that ignores labels
        has ``l1`` here); ``l1_db_<label>`` of each label that occurs; and ``l1_db_rule`` and ``l1_db_rule_<label>``,
        what the labels' definitions alone come to, without a model.
    """
    pairs = [cache.pair(row) for row in rows]
    made = [reconstruct_recording(model, pair.raw, pair.edges, pair.labels) for pair in pairs]
    names = cache.table["pair_id"].iloc[rows]
    swapped = [
        reconstruct_recording(
            model, pair.raw, pair.edges, other_labels(pair.labels, keyed_generator(seed, stage, f"swapped {name}"))
        )
        for pair, name in zip(pairs, names, strict=True)
    ]
    labels = np.concatenate([pair.labels[beat_numbers(pair.edges)] for pair in pairs])
    raw, target = (np.concatenate([getattr(pair, name) for pair in pairs]) for name in ("raw", "target"))
    range_db = cache.settings.range_db
    ruled = [rule_recording(pair.raw, pair.edges, pair.labels, range_db) for pair in pairs]
    apart, apart_rule = (np.abs(np.concatenate(own) - target).mean(axis=1) for own in (made, ruled))
    kept = [kept_share(own, pair, range_db) for own, pair in zip(made, pairs, strict=True)]
    measured = {
        "l1": apart.mean(),
        "l1_db": apart.mean() * range_db,
        "stft": np.mean([stft_distance(own, pair) for own, pair in zip(made, pairs, strict=True)]),
        "keep": np.nanmean(kept) if not np.all(np.isnan(kept)) else np.nan,
        "l1_raw": np.abs(raw - target).mean(),
        "l1_swapped": np.abs(np.concatenate(swapped) - target).mean(),
    }
    measured["l1_db_rule"] = apart_rule.mean() * range_db
    for label in BEAT_LABELS:
        own = labels == label
        if own.any():
            measured[f"l1_db_{label.name}"] = apart[own].mean() * range_db
            measured[f"l1_db_rule_{label.name}"] = apart_rule[own].mean() * range_db
    return {name: float(value) for name, value in measured.items()}


def stft_distance(made: np.ndarray, pair: CachedPair) -> float:
    """Return `multi_resolution_loss` of a whole recording, [F, M]."""
    mask = torch.ones(1, len(made), dtype=torch.bool)
    return float(multi_resolution_loss(torch.from_numpy(made)[None], torch.from_numpy(pair.target)[None], mask))


def kept_share(made: np.ndarray, pair: CachedPair, range_db: float) -> float:
    """Return the share of KEEP frames' values within ``KEPT_DB`` of the raw recording; nan where nothing is kept.

    Args:
        made: float [F, M] in the models' scale.
        pair: raw recording and labels.
        range_db: of the scale.
    """
    kept = pair.labels[beat_numbers(pair.edges)] == Label.KEEP
    return float(np.mean(np.abs(made - pair.raw)[kept] * range_db < KEPT_DB)) if kept.any() else float("nan")
