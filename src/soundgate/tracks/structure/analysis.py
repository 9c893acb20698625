"""Everything measured of the conditions: the seed's numbers and the sound ones, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from soundgate.runtime.console import track
from soundgate.runtime.ledger import Ledger, jsonable
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.structure.ceiling import ceiling_gain
from soundgate.tracks.structure.cells import CellStatistics
from soundgate.tracks.structure.conditions import context_features
from soundgate.tracks.structure.fitting import Conditioning
from soundgate.tracks.structure.gain import Errors, held_out_errors, slice_masks
from soundgate.tracks.structure.linear import edge_share
from soundgate.tracks.structure.nulls import STAGE, NullResult, choose_utterances, gain_problem, swap_null
from soundgate.tracks.structure.power import PlantingGround, detectable_gain
from soundgate.tracks.structure.scoring import Scorer, build_scorer, linear_floor, speaker_condition
from soundgate.tracks.structure.seed_metrics import seed_metrics
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN, Sequences
from soundgate.tracks.structure.settings import ConditioningSettings, MetricsSettings
from soundgate.tracks.structure.stability import prediction_strength
from soundgate.tracks.structure.surrogates import iaaft_null, reduced_sequences, surrogate_null


def run_nulls(scorer: Scorer, fitted: Conditioning, conditioning: ConditioningSettings) -> dict[str, NullResult]:
    """Run the nulls; columns follow the conditions without replicates. Only ``swap`` where surrogates are off."""
    sequences, settings, history = scorer.targets.sequences, scorer.settings, conditioning.history
    nulls = settings.nulls
    columns = [i for i, c in enumerate(fitted.conditions) if c.replicate == 0]
    chosen = choose_utterances(sequences, nulls.swap_max_frames, scorer.seed)
    part = sequences.subset(chosen)
    frames = np.concatenate([np.arange(sequences.starts[u], sequences.starts[u + 1]) for u in chosen])
    valid = part.valid(history)
    innovation = np.concatenate(
        [
            np.asarray(scorer.targets.innovations[int(sequences.starts[u]) : int(sequences.starts[u + 1])])
            for u in chosen
        ]
    )[valid]
    problem = gain_problem(part, leading_components(innovation, nulls.n_dims), valid, settings.medial)
    utterance = part.utterance[valid]
    swapped = swap_null(
        problem,
        fitted.ids[columns][:, frames[valid]],
        utterance,
        part.speaker[utterance],
        nulls.n_swaps,
        scorer.seed,
    )
    if nulls.n_surrogates == 0:
        return {"swap": swapped}
    few = sequences.subset(choose_utterances(sequences, nulls.surrogate_max_frames, scorer.seed))
    reduced = reduced_sequences(few, fitted.frames, nulls.n_dims)
    return {
        "swap": swapped,
        "surrogate": surrogate_null(reduced, conditioning, settings, scorer.seed),
        "iaaft": iaaft_null(reduced, conditioning, settings, scorer.seed),
    }


def leading_components(y: np.ndarray, n_dims: int) -> np.ndarray:
    """Return rows ``[n, D]`` in their leading principal directions ``[n, min(n_dims, D)]``, not centred, float64."""
    y = y.astype(np.float64)
    _, vectors = np.linalg.eigh(y.T @ y)
    return y @ vectors[:, ::-1][:, :n_dims]


def analyse(
    sequences: Sequences,
    fitted: Conditioning,
    conditioning: ConditioningSettings,
    settings: MetricsSettings,
    seed: int,
    folder: Path | None = None,
) -> tuple[dict, dict]:
    """Measure everything.

    Args:
        sequences: the frames.
        fitted: what was fitted on train frames.
        conditioning: its settings.
        settings: of the metrics.
        seed: the experiment's.
        folder: work folder for innovations and finished parts, so that a killed run goes on; None keeps all in memory.

    Returns:
        The metrics, and the curves behind the plots; both are JSON values in which a number that does not exist
        (an empty slice, a ratio without denominator) is None.
    """
    ledger = Ledger(folder)
    scorer = build_scorer(sequences, fitted, conditioning.history, settings, seed, folder)
    slices = slice_masks(sequences, settings.medial)
    conditions: dict[str, dict] = {name: {"lags": {}, "seeds": []} for name in conditioning.conditions}
    curves: dict[str, dict] = {name: {} for name in conditioning.conditions}
    for column, condition in enumerate(track(fitted.conditions, "scoring conditions")):
        key = f"{condition.name} lag {condition.lag} replicate {condition.replicate}"
        part = ledger.once(key, lambda c=column, k=key: _score_column(scorer, fitted, conditioning, c, slices, k))
        entry = conditions[condition.name]
        if condition.replicate:
            entry["seeds"].append(part["gain"])
            continue
        entry["lags"][str(condition.lag)] = part["lag"]
        entry |= part["once"]
        curves[condition.name] |= part["curves"]
    nulls = ledger.once("nulls", lambda: _nulls(scorer, fitted, conditioning))
    for sound, p in zip(_sound_entries(conditions, fitted), nulls["p_values"], strict=True):
        sound |= p
    rest = ledger.once("rest", lambda: _once_per_corpus(scorer, fitted, conditioning))
    metrics = {
        "frames": _frame_counts(sequences, conditioning.history),
        "dim": sequences.dim,
        "linear_order": fitted.linear.order,
        "linear_ridge": _penalties(fitted, conditioning),
        **rest,
        "conditions": conditions,
    }
    return jsonable(metrics), curves | {"nulls": nulls["largest"]}


def _penalties(fitted: Conditioning, conditioning: ConditioningSettings) -> dict[str, float | None]:
    """Return the linear model's median finite penalty, and the shares of outputs without a model and at an end."""
    finite = [ridge for ridge in fitted.linear.ridge if ridge is not None]
    return {
        "median": float(np.median(finite)) if finite else None,
        "not_predicted": 1 - len(finite) / len(fitted.linear.ridge),
        "at_edge": edge_share(fitted.linear, conditioning.ridges),
    }


def _score_column(
    scorer: Scorer,
    fitted: Conditioning,
    conditioning: ConditioningSettings,
    column: int,
    slices: dict[str, np.ndarray],
    key: str,
) -> dict:
    """Return everything measured of one condition at one lag, or the gain alone of a replicate."""
    condition, ids = fitted.conditions[column], fitted.ids[column]
    if condition.replicate:
        errors = held_out_errors(scorer.targets, ids, scorer.held, ("innovation",))
        return {"gain": scorer.gain(errors, "innovation", EVAL, "all", key).value}
    errors = held_out_errors(scorer.targets, ids, scorer.held)
    numbers, cells = seed_metrics(scorer.targets, ids, slices, scorer.settings.min_cluster_frames)
    first = condition.lag == conditioning.lags[0]
    return {
        "lag": {"seed": numbers, "sound": scorer.numbers(errors, key)},
        "once": _first_lag(scorer, fitted, conditioning, column, slices) if first else {},
        "curves": _curves(scorer, errors, cells, fitted, column) if first else {},
    }


def _nulls(scorer: Scorer, fitted: Conditioning, conditioning: ConditioningSettings) -> dict:
    """Return the corrected p-values of every condition and lag, and the largest gain of each null draw."""
    found = run_nulls(scorer, fitted, conditioning)
    names, n = ("swap", "surrogate", "iaaft"), len(found["swap"].observed)
    p = {name: found[name].p_values[:, 0] if name in found else [None] * n for name in names}
    return {
        "p_values": [{f"p_{name}": p[name][i] for name in names} for i in range(n)],
        "largest": {name: found[name].largest if name in found else [] for name in names},
    }


def _sound_entries(conditions: dict[str, dict], fitted: Conditioning) -> list[dict]:
    columns = [c for c in fitted.conditions if c.replicate == 0]
    return [conditions[c.name]["lags"][str(c.lag)]["sound"] for c in columns]


def _once_per_corpus(scorer: Scorer, fitted: Conditioning, conditioning: ConditioningSettings) -> dict:
    """Return floor, ceiling, the gain of knowing the speaker and the gain that would have been found."""
    lag, window, settings = conditioning.lags[0], conditioning.window, scorer.settings
    ceiling = ceiling_gain(scorer.targets, window, lag, settings.ceiling, settings.n_bootstrap, scorer.seed)
    ground = PlantingGround.of(scorer.targets, fitted, window, lag, settings.power.max_frames, scorer.seed)
    return {
        "linear_floor_r2": linear_floor(scorer).as_dict(),
        "ceiling": None if ceiling is None else ceiling.as_dict(),
        "speaker_condition_gain": speaker_condition(scorer).as_dict(),
        **detectable_gain(ground, settings.power, settings.n_bootstrap, scorer.seed),
    }


def _first_lag(
    scorer: Scorer,
    fitted: Conditioning,
    conditioning: ConditioningSettings,
    column: int,
    slices: dict[str, np.ndarray],
) -> dict:
    """Return what is measured once per condition: a random assignment of the same cells, and cluster stability."""
    condition, ids = fitted.conditions[column], fitted.ids[column]
    settings, sequences = scorer.settings, scorer.targets.sequences
    generator = keyed_generator(scorer.seed, STAGE, f"random ids {condition.name}")
    valid = np.flatnonzero(ids >= 0)
    shuffled = np.full_like(ids, -1)
    shuffled[valid] = generator.permutation(ids[valid])
    random, _ = seed_metrics(scorer.targets, shuffled, slices, settings.min_cluster_frames)
    keep = ("variance_ratio_train", "variance_ratio_eval")
    found = {"random": {k: random[k]["all"] for k in keep} | {"expected": random["expected_random_ratio"]}}
    if condition.centroids is not None:
        train = np.flatnonzero((ids >= 0) & (sequences.split[sequences.utterance] == TRAIN))
        size = min(len(train), settings.stability_frames)
        frames = np.sort(generator.choice(train, size, replace=False))
        features = context_features(sequences, fitted.frames, conditioning.window, condition.lag, condition.pca, frames)
        n_clusters = min(len(condition.centroids), size // 4)
        found["prediction_strength"] = prediction_strength(features, n_clusters, generator)
    return found


def _curves(scorer: Scorer, errors: Errors, cells: CellStatistics, fitted: Conditioning, column: int) -> dict:
    """Return cell sizes and variances, the confidence curve, gains per speaker and the PCA of the cell means."""
    count = cells.count
    filled = count > 0
    means = cells.total[filled] / count[filled, None]
    inside = (cells.square[filled].sum(1) / count[filled]) - np.square(means).sum(1)
    on_eval = scorer.held.split == EVAL
    frames = scorer.held.frames[on_eval]
    e, b = errors.squared["innovation"][on_eval], scorer.baseline.squared["innovation"][on_eval]
    speakers, unit = np.unique(scorer.held.speaker[on_eval], return_inverse=True)
    saved, base = np.bincount(unit, weights=b - e), np.bincount(unit, weights=b)
    curve: dict[str, list] = {"top_share": [], "variance_ratio": []}
    confidence = fitted.confidence[column][frames]
    if not np.isnan(confidence).all():
        order = np.argsort(-confidence, kind="stable")
        for share in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
            top = order[: max(1, int(share * len(order)))]
            curve["top_share"].append(share)
            curve["variance_ratio"].append(float(e[top].sum() / b[top].sum()))
    return {
        "cell_count": count[filled],
        "cell_variance": inside,
        "mean_pca": _two_components(means),
        "confidence": curve,
        "speakers": speakers,
        "speaker_gain": saved / base,
    }


def _two_components(means: np.ndarray) -> np.ndarray:
    """Return the two leading principal components of rows ``[n, D]`` as ``[n, 2]``; no rows for fewer than three."""
    if len(means) < 3 or means.shape[1] < 2:
        return np.zeros((0, 2))
    left, scale, _ = np.linalg.svd(means - means.mean(0), full_matrices=False)
    return (left * scale)[:, :2]


def _frame_counts(sequences: Sequences, history: int) -> dict[str, int]:
    split, valid = sequences.split[sequences.utterance], sequences.valid(history)
    names = {"train": TRAIN, "holdout": HOLDOUT, "eval": EVAL}
    return {
        **{f"{name}_frames": int((valid & (split == s)).sum()) for name, s in names.items()},
        **{f"{name}_speakers": len(np.unique(sequences.speaker[sequences.split == s])) for name, s in names.items()},
        "utterances": len(sequences.lengths),
    }
