"""Conditions: context windows to cluster ids, fitted on train frames only, one fit for each lag."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.cluster import KMeans

from soundgate.runtime.execution import map_items
from soundgate.runtime.randomness import keyed_generator, keyed_seed
from soundgate.tracks.structure.contexts import WindowPca, projections, window_means, window_pca
from soundgate.tracks.structure.moments import LaggedMoments
from soundgate.tracks.structure.normaliser import Normaliser
from soundgate.tracks.structure.sequences import TRAIN, Sequences
from soundgate.tracks.structure.settings import ConditioningSettings, ConditionSettings

STAGE = "structure-conditioning"
RESTART_FRAMES = 5_000
MAX_ITERATIONS = 100


@dataclass(frozen=True)
class FittedCondition:
    """A condition at one lag: what turns contexts into ids.

    Attributes:
        name: the condition's name.
        kind: ``mean_vq``, ``pca_vq`` or ``pca_quartile``.
        lag: frames between the end of the context and the target.
        replicate: 0 for the condition itself, above for fits with another k-means seed.
        pca: the window's components, absent for ``mean_vq``.
        centroids: ``[K, features]`` for the k-means kinds.
        edges: train quartiles ``[n_components, 3]`` for ``pca_quartile``.
        n_cells: number of ids possible.
    """

    name: str
    kind: str
    lag: int
    replicate: int
    pca: WindowPca | None
    centroids: np.ndarray | None
    edges: np.ndarray | None
    n_cells: int


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
    fitted: list[FittedCondition] = []
    for lag in settings.lags:
        pcas: dict[int, WindowPca] = {}
        features: dict[int, np.ndarray] = {}
        tasks = []
        for name, condition in settings.conditions.items():
            size = condition.n_components or 0
            if size and size not in pcas:
                pcas[size] = window_pca(moments, lag, settings.window, size)
            if size not in features:
                features[size] = context_features(sequences, normaliser, settings.window, lag, pcas.get(size), frames)
            replicates = settings.n_seeds if lag == settings.lags[0] and condition.n_clusters else 0
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
    for chunk in sequences.chunks((TRAIN,)):
        span = chunk.frames()
        rows = frames[np.searchsorted(frames, span.start) : np.searchsorted(frames, span.stop)] - span.start
        if len(rows):
            z = normaliser(chunk.x)
            pieces.append((window_means(z, window) if pca is None else projections(z, pca))[rows - lag])
    return np.concatenate(pieces)


def _fit_one(
    task: tuple[str, ConditionSettings, int],
    *,
    lag: int,
    pcas: dict[int, WindowPca],
    features: dict[int, np.ndarray],
    n_init: int,
    seed: int,
) -> FittedCondition:
    name, condition, replicate = task
    size = condition.n_components or 0
    data = features[size]
    centroids = edges = None
    if condition.n_clusters is not None:
        state = keyed_seed(seed, STAGE, f"{name} lag {lag} replicate {replicate}")
        n_clusters = min(condition.n_clusters, len(data))
        # A replicate shows the spread of single fits; the condition itself is the best of n_init.
        centroids = fit_centroids(data, n_clusters, 1 if replicate else n_init, state)
    else:
        edges = np.quantile(data, [0.25, 0.5, 0.75], axis=0).T
    return FittedCondition(name, condition.kind, lag, replicate, pcas.get(size), centroids, edges, condition.n_cells)


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
        1 - d1/d2 with d1, d2 the distances to the nearest and second nearest centroid; NaN for quartile bins.
    """
    ids = np.full(sequences.n_frames, -1, np.int32)
    confidence = np.full(sequences.n_frames, np.nan, np.float32)
    valid = sequences.valid(history)
    for chunk in sequences.chunks():
        span = chunk.frames()
        rows = np.flatnonzero(valid[span])
        z = normaliser(chunk.x)
        features = window_means(z, window) if condition.pca is None else projections(z, condition.pca)
        features = features[rows - condition.lag]
        if condition.edges is not None:
            ids[span.start + rows] = quartile_ids(features, condition.edges)
        else:
            nearest, ids[span.start + rows] = _nearest(features, condition.centroids)
            confidence[span.start + rows] = nearest
    return ids, confidence


def quartile_ids(features: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return sum over d of bin_d * 4^d, int64 ``[n]``, for features ``[n, d]`` and edges ``[d, 3]``."""
    bins = np.stack([np.searchsorted(e, f, side="right") for e, f in zip(edges, features.T, strict=True)], axis=1)
    return bins @ (4 ** np.arange(len(edges)))


def _nearest(features: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return confidence and index of the nearest centroid, by one matrix product."""
    centroids = centroids.astype(features.dtype)
    squared = (centroids**2).sum(1) - 2.0 * (features @ centroids.T)
    ids = squared.argmin(1)
    two = np.partition(squared, 1, axis=1)[:, :2] + (features**2).sum(1, keepdims=True)
    near, far = np.sqrt(np.maximum(two, 0)).T
    return 1.0 - near / np.maximum(far, np.finfo(near.dtype).tiny), ids
