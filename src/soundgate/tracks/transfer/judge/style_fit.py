"""Fitting of the held-out judge of style."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from torch.nn import functional

from soundgate.audio.mel import from_model
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.transfer.augment import blur, rerecord
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.judge.features import style_features
from soundgate.tracks.transfer.judge.networks import StyleJudge
from soundgate.tracks.transfer.judge.task import STAGE

BATCH = 128
N_FOLDS = 4
REGULARISATION = 0.1
# Temperatures looked among, as powers of e.
LOG_TEMPERATURES = (-2.0, 3.0)


def fit_style_judge(cache: ChunkCache, n_copies: int, seed: int) -> StyleJudge:
    """Fit on the judge rows and re-recorded, blurred copies; the temperature on a quarter of the groups left out.

    Without the blur the judge takes every drawn spectrogram, whatever its style, for the genre that moves least: it
    would judge sharpness, which `continuity` and the onsets measure.

    Args:
        cache: the chunks.
        n_copies: re-recorded, blurred copies of each clip.
        seed: of the copies.

    Source: Guo et al. 2017, "On calibration of modern neural networks" (temperature).
    """
    rows = cache.rows("judge")
    features, codes, groups = _examples(cache, rows, n_copies, seed)
    n_folds = min(N_FOLDS, len(np.unique(groups)))
    temperature = 1.0
    if n_folds > 1:
        kept, left = next(GroupKFold(n_folds).split(features, codes, groups))
        if set(codes[left]) <= set(codes[kept]) and len(set(codes[kept])) > 1:
            part = _fitted(features[kept], codes[kept], len(cache.genres))
            temperature = _temperature(part.logits(torch.from_numpy(features[left])), torch.from_numpy(codes[left]))
    judge = _fitted(features, codes, len(cache.genres))
    judge.temperature.fill_(temperature)
    return judge


def _examples(cache: ChunkCache, rows: np.ndarray, n_copies: int, seed: int) -> tuple[np.ndarray, ...]:
    torch.manual_seed(keyed_seed(seed, STAGE, "copies"))
    features = []
    for copy in range(1 + n_copies):
        for part in np.array_split(rows, max(1, -(-len(rows) // BATCH))):
            mels = cache.batch(part)
            features.append(style_features(from_model(blur(rerecord(mels)) if copy else mels)).numpy())
    columns = (cache.index[name].to_numpy()[rows] for name in ("genre_code", "group"))
    return np.concatenate(features), *(np.tile(column, 1 + n_copies) for column in columns)


def _fitted(features: np.ndarray, codes: np.ndarray, n_genres: int) -> StyleJudge:
    judge = StyleJudge(features.shape[1], n_genres)
    judge.mean.copy_(torch.from_numpy(features.mean(0)))
    judge.std.copy_(torch.from_numpy(features.std(0) + 1e-6))
    standardised = (features - judge.mean.numpy()) / judge.std.numpy()
    classifier = LogisticRegression(C=REGULARISATION, max_iter=2000).fit(standardised, codes)
    weight, bias = classifier.coef_, classifier.intercept_
    if len(classifier.classes_) == 2:  # scikit-learn keeps one row for two classes.
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    # A genre without a judge row is never named.
    judge.bias.fill_(-1e4)
    judge.weight[classifier.classes_] = torch.from_numpy(weight).float()
    judge.bias[classifier.classes_] = torch.from_numpy(bias).float()
    return judge


def _temperature(logits: torch.Tensor, codes: torch.Tensor) -> float:
    found = minimize_scalar(
        lambda log: float(functional.cross_entropy(logits / np.exp(log), codes)),
        bounds=LOG_TEMPERATURES,
        method="bounded",
    )
    return float(np.exp(found.x))
