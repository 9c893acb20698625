"""Conditions: context windows to cluster ids, fitted on train frames only, one fit for each lag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.cluster import KMeans

from soundgate.runtime.execution import map_items
from soundgate.runtime.randomness import keyed_generator, keyed_seed
from soundgate.tracks.structure.contexts import WindowPca, projections, window_means, window_pca
from soundgate.tracks.structure.keys import NgramHash, SupervisedVq, nearest_centroids
from soundgate.tracks.structure.linear import VectorAutoregression, fit_autoregression
from soundgate.tracks.structure.moments import LaggedMoments
from soundgate.tracks.structure.normaliser import Normaliser
from soundgate.tracks.structure.sequences import TRAIN, Chunk, Sequences
from soundgate.tracks.structure.settings import ConditioningSettings, ConditionSettings

STAGE = "structure-conditioning"
RESTART_FRAMES = 5_000
MAX_ITERATIONS = 100
# Penalty of the linear model whose residual the supervised quantiser learns; see `fit_autoregression`.
SUPERVISED_RIDGE = 0.1


@dataclass(frozen=True)
class FittedCondition:
    """A condition at one lag: what turns contexts into ids.

    Attributes:
        name: the condition's name.
        kind: see `ConditionSettings`.
        lag: frames between the end of the context and the target.
        replicate: 0 for the condition itself, above for fits with another k-means seed.
        pca: the window's components, absent for ``mean_vq``.
        centroids: ``[K, features]`` for the k-means kinds.
        edges: train quartiles ``[n_components, 3]`` for ``pca_quartile``.
        n_cells: number of ids possible.
        key: what turns frames into ids for the kinds ``ngram_hash`` and ``supervised_vq``.
    """

    name: str
    kind: str
    lag: int
    replicate: int
    pca: WindowPca | None
    centroids: np.ndarray | None
    edges: np.ndarray | None
    n_cells: int
    key: NgramHash | SupervisedVq | None = None


def fit_conditions(
    sequences: Sequences,
    normaliser: Normaliser,
    moments: LaggedMoments,
    settings: ConditioningSettings,
    seed: int,
    workers: int | None = None,
) -> list[FittedCondition]:
    """Fit every condition at every lag on the valid train frames.

    K-means runs on at most ``max_fit_frames`` frames drawn by key; see `fit_centroids`.

    Args:
        sequences: the frames.
        normaliser: z-scoring of the frames.
        moments: lagged moments of the train frames, at least ``settings.history`` lags.
        settings: conditions, window, lags.
        seed: the experiment's.
        workers: processes for the fits; by default as many as there are workers.

    Returns:
        The conditions in the order of the settings, lags inside, then replicates of the k-means kinds at the first lag.
    """
    frames = _fit_frames(sequences, settings, seed)
    innovation = _innovation(sequences, normaliser, moments, settings, frames)
    fitted: list[FittedCondition] = []
    for lag in settings.lags:
        pcas: dict[int, WindowPca] = {}
        features: dict[int | str, np.ndarray] = {}
        tasks = []
        for name, condition in settings.conditions.items():
            size = condition.n_components or 0
            if size and size not in pcas:
                pcas[size] = window_pca(moments, lag, settings.window, size)
            if condition.kind == "ngram_hash":
                features[name] = _stacked(sequences, normaliser, lag, condition.order, frames)
            elif size not in features:
                features[size] = context_features(sequences, normaliser, settings.window, lag, pcas.get(size), frames)
            if condition.kind == "supervised_vq":
                last = _stacked(sequences, normaliser, lag, 1, frames)[:, 0]
                features[name], features["innovation"] = np.concatenate([last, features[0]], axis=1), innovation
            replicates = settings.n_seeds if lag == settings.lags[0] and condition.has_replicates else 0
            tasks += [(name, condition, replicate) for replicate in range(1 + replicates)]
        fit = partial(_fit_one, lag=lag, pcas=pcas, features=features, n_init=settings.n_init, seed=seed)
        fitted += map_items(fit, tasks, f"fitting conditions, lag {lag}", workers)
    return fitted


def _fit_frames(sequences: Sequences, settings: ConditioningSettings, seed: int) -> np.ndarray:
    """Return the frame numbers that fits use: all valid train frames, or a keyed sample of them, rising."""
    train = sequences.split[sequences.utterance] == TRAIN
    frames = np.flatnonzero(sequences.valid(settings.history) & train)
    if len(frames) > settings.max_fit_frames:
        chosen = keyed_generator(seed, STAGE, "fit frames").choice(len(frames), settings.max_fit_frames, replace=False)
        frames = frames[np.sort(chosen)]
    return frames


def context_features(
    sequences: Sequences,
    normaliser: Normaliser,
    window: int,
    lag: int,
    pca: WindowPca | None,
    frames: np.ndarray,
) -> np.ndarray:
    """Return the features of the contexts of some train frames: window means, or components where ``pca`` is given.

    Args:
        sequences: the frames.
        normaliser: z-scoring of the frames.
        window: W.
        lag: of the context.
        pca: the components, or None for means.
        frames: rising frame numbers in the train split, each with enough history.

    Returns:
        Features ``[len(frames), D or n_components]``.
    """
    pieces = []
    for chunk, rows in _rows_of(sequences, frames):
        z = normaliser(chunk.x)
        pieces.append((window_means(z, window) if pca is None else projections(z, pca))[rows - lag])
    return np.concatenate(pieces)


def _stacked(sequences: Sequences, normaliser: Normaliser, lag: int, order: int, frames: np.ndarray) -> np.ndarray:
    """Return the last ``order`` frames of the contexts of some train frames, the last first, ``[n, order, D]``."""
    pieces = []
    for chunk, rows in _rows_of(sequences, frames):
        z = normaliser(chunk.x)
        pieces.append(np.stack([z[rows - lag - j] for j in range(order)], axis=1))
    return np.concatenate(pieces)


def _innovation(
    sequences: Sequences,
    normaliser: Normaliser,
    moments: LaggedMoments,
    settings: ConditioningSettings,
    frames: np.ndarray,
) -> np.ndarray | None:
    """Return what a linear model leaves of some train frames ``[n, D]``; None where no condition learns it."""
    if all(condition.kind != "supervised_vq" for condition in settings.conditions.values()):
        return None
    depth, dim = moments.total.shape
    nothing = LaggedMoments(0, np.zeros((depth, dim)), np.zeros((depth, depth, dim, dim)))
    linear: VectorAutoregression = fit_autoregression(moments, nothing, (SUPERVISED_RIDGE,))
    return np.concatenate([linear.innovation(normaliser(chunk.x))[rows] for chunk, rows in _rows_of(sequences, frames)])


def _rows_of(sequences: Sequences, frames: np.ndarray) -> Iterator[tuple[Chunk, np.ndarray]]:
    """Yield the chunks of train frames that hold some of ``frames``, and these frames' rows in it."""
    for chunk in sequences.chunks((TRAIN,)):
        span = chunk.frames()
        rows = frames[np.searchsorted(frames, span.start) : np.searchsorted(frames, span.stop)] - span.start
        if len(rows):
            yield chunk, rows


def _fit_one(
    task: tuple[str, ConditionSettings, int],
    *,
    lag: int,
    pcas: dict[int, WindowPca],
    features: dict[int | str, np.ndarray],
    n_init: int,
    seed: int,
) -> FittedCondition:
    name, condition, replicate = task
    size = condition.n_components or 0
    state = keyed_seed(seed, STAGE, f"{name} lag {lag} replicate {replicate}")
    centroids = edges = None
    if (key := _fit_key(name, condition, features, state)) is not None:
        return FittedCondition(name, condition.kind, lag, replicate, None, None, None, condition.n_cells, key)
    data = features[size]
    if condition.n_clusters is not None:
        n_clusters = min(condition.n_clusters, len(data))
        # A replicate shows the spread of single fits; the condition itself is the best of n_init.
        centroids = fit_centroids(data, n_clusters, 1 if replicate else n_init, state)
    else:
        edges = np.quantile(data, [0.25, 0.5, 0.75], axis=0).T
    return FittedCondition(name, condition.kind, lag, replicate, pcas.get(size), centroids, edges, condition.n_cells)


def _fit_key(
    name: str, condition: ConditionSettings, features: dict[int | str, np.ndarray], state: int
) -> NgramHash | SupervisedVq | None:
    if condition.kind == "ngram_hash":
        return NgramHash.fit(features[name], condition.n_codes, condition.n_clusters, condition.n_heads, state)
    if condition.kind == "supervised_vq":
        return SupervisedVq.fit(features[name], features["innovation"], condition.n_clusters, condition.hidden, state)
    return None


def fit_centroids(data: np.ndarray, n_clusters: int, n_init: int, random_state: int) -> np.ndarray:
    """Fit k-means: ``n_init`` starts on a sample, then exact Lloyd iterations on all data from the best of them.

    Args:
        data: ``[n, d]``.
        n_clusters: K <= n.
        n_init: k-means++ starts.
        random_state: of the sample and the starts.

    Returns:
        Centroids ``[K, d]``.

    Source: Arthur & Vassilvitskii 2007 (k-means++); Lloyd 1982.
    Differs: starts are compared on at most ``RESTART_FRAMES`` rows; `benchmarks/kmeans.py` shows what that costs.
    """
    sample = data
    if len(data) > max(RESTART_FRAMES, n_clusters):
        chosen = np.random.default_rng(random_state).choice(len(data), max(RESTART_FRAMES, n_clusters), replace=False)
        sample = data[np.sort(chosen)]
    starts = KMeans(n_clusters, n_init=n_init, max_iter=MAX_ITERATIONS, random_state=random_state).fit(sample)
    if sample is data:
        return starts.cluster_centers_
    return (
        KMeans(n_clusters, init=starts.cluster_centers_, n_init=1, max_iter=MAX_ITERATIONS).fit(data).cluster_centers_
    )


def assign(sequences: Sequences, normaliser: Normaliser, condition: FittedCondition, window: int, history: int):
    """Return the cluster of every valid frame and how sure the assignment is.

    Args:
        sequences: the frames.
        normaliser: z-scoring of the frames.
        condition: the fitted condition.
        window: W.
        history: frames that must precede a frame.

    Returns:
        Ids int32 ``[n_frames]``, -1 where a frame is not valid, and the confidence float32 ``[n_frames]``:
        1 - d1/d2 with d1, d2 the distances to the nearest and second nearest centroid; NaN where there are none.
    """
    ids = np.full(sequences.n_frames, -1, np.int32)
    confidence = np.full(sequences.n_frames, np.nan, np.float32)
    valid = sequences.valid(history)
    for chunk in sequences.chunks():
        span = chunk.frames()
        rows = np.flatnonzero(valid[span])
        z = normaliser(chunk.x)
        cells, sure = _assign_chunk(z, condition, window, rows - condition.lag)
        ids[span.start + rows], confidence[span.start + rows] = cells, sure
    return ids, confidence


def _assign_chunk(
    z: np.ndarray, condition: FittedCondition, window: int, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return cell and confidence of the contexts that end at rows ``ends`` of consecutive frames ``[n, D]``."""
    if isinstance(condition.key, NgramHash):
        cells, sure = condition.key.assign(z)
        return cells[ends], sure[ends]
    features = (window_means(z, window) if condition.pca is None else projections(z, condition.pca))[ends]
    if condition.key is not None:
        return condition.key.assign(np.concatenate([z[ends], features], axis=1))
    if condition.edges is not None:
        return quartile_ids(features, condition.edges), np.full(len(ends), np.nan)
    sure, cells = nearest_centroids(features, condition.centroids)
    return cells, sure


def quartile_ids(features: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return sum over d of bin_d * 4^d, int64 ``[n]``, for features ``[n, d]`` and edges ``[d, 3]``."""
    bins = np.stack([np.searchsorted(e, f, side="right") for e, f in zip(edges, features.T, strict=True)], axis=1)
    return bins @ (4 ** np.arange(len(edges)))
