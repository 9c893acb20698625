"""What labels are worth on whole recordings: a policy's beside those of who knows nothing and who knows all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch

from soundgate.evaluation.statistics import Estimate, ratio_estimate
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.cache import CachedPair, PairCache
from soundgate.tracks.editor.policy.model import EditPredictor
from soundgate.tracks.editor.policy.predict import predict_labels
from soundgate.tracks.editor.policy.reward import RewardParts, duration_error, sample_parts
from soundgate.tracks.editor.policy.settings import RewardWeights
from soundgate.tracks.editor.reconstruct.model import Reconstruction, reconstruct_recording
from soundgate.tracks.editor.recovery.scores import (
    accuracy,
    balanced_accuracy,
    class_f1,
    confusion,
    estimate,
    macro_f1,
)
from soundgate.tracks.editor.vocabulary import BEAT_LABELS, Label
from soundgate.tracks.editor.windows import batch_of

Method = Callable[[CachedPair], np.ndarray]
Judge = Callable[[CachedPair, np.ndarray], dict]
KEEP, MAJORITY, ORACLE = "all_keep", "majority", "oracle"


def by_policy(model: EditPredictor) -> Method:
    """Return the method of a policy: its likeliest labels."""
    return lambda pair: predict_labels(model, pair.raw, pair.edges)[0]


def baselines(cache: PairCache) -> dict[str, Method]:
    """Return the methods to compare with: KEEP for all, the train pairs' commonest label for all, the truth."""
    train = [cache.pair(int(row)).labels for row in cache.rows("train")]
    majority = int(np.bincount(np.concatenate(train)).argmax()) if train else int(Label.KEEP)
    return {
        KEEP: lambda pair: np.full_like(pair.labels, Label.KEEP),
        MAJORITY: lambda pair: np.full_like(pair.labels, majority),
        ORACLE: lambda pair: pair.labels,
    }


def judge_labels(pair: CachedPair, labels: np.ndarray) -> dict:
    """Hold the labels of one pair against the truth.

    Args:
        pair: with its true labels.
        labels: int64 [N].

    Returns:
        ``n_beats``, ``accuracy``, ``duration_error`` and ``confusion`` (int64 [7, 7]).
    """
    drawn = torch.from_numpy(np.array(labels, np.int64))[None]
    return {
        "n_beats": len(labels),
        "accuracy": float(np.mean(labels == pair.labels)),
        "duration_error": float(duration_error(drawn, batch_of([(pair, (0, len(labels)))]))),
        "confusion": confusion(pair.labels, labels),
    }


def judge_reward(reconstruction: Reconstruction, weights: RewardWeights) -> Judge:
    """Return what adds the reward of what labels make to `judge_labels`.

    Args:
        reconstruction: phase 1's model, frozen.
        weights: of the reward; the label bonus is left out.

    Returns:
        Gives ``reward`` and its parts, not weighted: ``reconstruction``, ``labels``, ``duration``, ``smoothness``.
    """

    def judge(pair: CachedPair, labels: np.ndarray) -> dict:
        made = torch.from_numpy(reconstruct_recording(reconstruction, pair.raw, pair.edges, labels))[None]
        drawn = torch.from_numpy(np.array(labels, np.int64))[None]
        parts = sample_parts(drawn, made, batch_of([(pair, (0, len(labels)))]))
        named = {name: float(part) for name, part in parts._asdict().items()}
        return judge_labels(pair, labels) | {"reward": float(parts.total(weights.without_labels()))} | named

    return judge


def score_split(cache: PairCache, rows: np.ndarray, methods: Mapping[str, Method], judge: Judge) -> pd.DataFrame:
    """Score methods on pairs.

    Args:
        cache: of the pairs.
        rows: int64, which.
        methods: labels of a pair, int64 [N], by name.
        judge: `judge_labels`, or what `judge_reward` returns.

    Returns:
        One row for each pair and method: ``pair_id``, ``group``, ``split``, ``method``, and what the judge says.
    """
    scored = []
    for row in rows:
        known = cache.table.iloc[int(row)]
        named = {name: known[name] for name in ("pair_id", "group", "split")}
        pair = cache.pair(int(row))
        scored += [named | {"method": name} | judge(pair, method(pair)) for name, method in methods.items()]
    return pd.DataFrame(scored)


def summarise_labels(table: pd.DataFrame, stage: str, seed: int, n_bootstrap: int) -> dict:
    """Return how right each method's labels are, with intervals over groups.

    Args:
        table: from `score_split`.
        stage: names the resampling's draws, with the seed.
        seed: of the resampling.
        n_bootstrap: resamples.

    Returns:
        For each method ``accuracy``, ``macro_f1``, ``balanced_accuracy`` and ``duration_error`` as estimates, ``f1``
        by label, ``confusion``, and ``duration_over``: each other method's mean error of the length less its own, on
        the same pairs.
    """
    errors = table.pivot(index="pair_id", columns="method", values="duration_error")
    groups = table.drop_duplicates("pair_id").set_index("pair_id")["group"].loc[errors.index]
    scores = {"accuracy": accuracy, "macro_f1": macro_f1, "balanced_accuracy": balanced_accuracy}
    result = {}
    for method, own in table.groupby("method", sort=False):
        generator = keyed_generator(seed, stage, f"labels {method}")
        tables = np.stack([np.sum(list(parts), axis=0) for _, parts in own.groupby("group")["confusion"]])
        estimates = {name: estimate(tables, score, generator, n_bootstrap) for name, score in scores.items()}
        estimates["duration_error"] = _mean(own["duration_error"], own["group"], generator, n_bootstrap)
        total = tables.sum(axis=0)
        result[method] = {name: value.as_dict() for name, value in estimates.items()} | {
            "f1": {label.name: float(value) for label, value in zip(BEAT_LABELS, class_f1(total), strict=True)},
            "confusion": total.tolist(),
            "duration_over": {
                other: _mean(errors[other] - errors[method], groups, generator, n_bootstrap).as_dict()
                for other in errors.columns
                if other != method
            },
        }
    return result


def summarise_rewards(table: pd.DataFrame, stage: str, seed: int, n_bootstrap: int) -> dict:
    """Return what each method's labels earn, with intervals over groups.

    Args:
        table: from `score_split` by `judge_reward`, with all-KEEP and the truth among the methods.
        stage: as `summarise_labels`'s, as are the others.
        seed: of the resampling.
        n_bootstrap: resamples.

    Returns:
        For each method ``reward``, and ``gain``, its reward less all-KEEP's over the truth's less all-KEEP's, as
        estimates; the mean of each ``parts``; and ``over``: its mean reward less that of each other method on the same
        pairs.
    """
    rewards = table.pivot(index="pair_id", columns="method", values="reward")
    groups = table.drop_duplicates("pair_id").set_index("pair_id")["group"].loc[rewards.index]
    room, result = rewards[ORACLE] - rewards[KEEP], {}
    for method, own in table.groupby("method", sort=False):
        generator = keyed_generator(seed, stage, f"rewards {method}")
        reward = _mean(rewards[method], groups, generator, n_bootstrap)
        gain = _ratio(rewards[method] - rewards[KEEP], room, groups, generator, n_bootstrap)
        over = {
            other: _mean(rewards[method] - rewards[other], groups, generator, n_bootstrap).as_dict()
            for other in rewards.columns
            if other != method
        }
        parts = {name: float(own[name].mean()) for name in RewardParts._fields}
        result[method] = {"reward": reward.as_dict(), "gain": gain.as_dict(), "over": over, "parts": parts}
    return result


def _mean(values, groups, generator: np.random.Generator, n_bootstrap: int) -> Estimate:
    return _ratio(values, np.ones(len(values)), groups, generator, n_bootstrap)


def _ratio(numerator, denominator, groups, generator: np.random.Generator, n_bootstrap: int) -> Estimate:
    """Estimate sum over sum of pairs whose groups are the independent units."""
    sums = pd.DataFrame({"x": np.asarray(numerator), "y": np.asarray(denominator)}).groupby(np.asarray(groups)).sum()
    return ratio_estimate(sums["x"].to_numpy(), sums["y"].to_numpy(), generator, n_bootstrap)
