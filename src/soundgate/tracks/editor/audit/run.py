"""The audit: everything measured on pairs nobody trained on."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import nn

from soundgate.audio.exact import read_exact
from soundgate.evaluation.groups import group_mean
from soundgate.runtime.console import track
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.audit.kept import SHARES, written_share, written_shares
from soundgate.tracks.editor.audit.reconstruction import STAGE, reconstruction_table, summarise
from soundgate.tracks.editor.audit.reward_truth import Recording, agreement, reward_against_renderer
from soundgate.tracks.editor.audit.settings import AuditSettings
from soundgate.tracks.editor.cache import CachedPair, PairCache
from soundgate.tracks.editor.edit_list import Tone
from soundgate.tracks.editor.features import Features
from soundgate.tracks.editor.pairs.table import truth_of
from soundgate.tracks.editor.policy.controls import controls
from soundgate.tracks.editor.policy.model import EditPredictor
from soundgate.tracks.editor.policy.scoring import (
    baselines,
    by_policy,
    judge_reward,
    score_split,
    summarise_labels,
    summarise_rewards,
)
from soundgate.tracks.editor.policy.settings import RewardWeights
from soundgate.tracks.editor.timeline import from_labels


class Trained(NamedTuple):
    """What is audited.

    Args:
        reconstruction: phase 1's model, frozen.
        imitation: the predictor after imitation.
        policy: the predictor after PPO.
    """

    reconstruction: nn.Module
    imitation: EditPredictor
    policy: EditPredictor


class Audit(NamedTuple):
    """What was found.

    Args:
        reconstruction: see `soundgate.tracks.editor.audit.reconstruction.summarise`.
        labels: see `soundgate.tracks.editor.policy.scoring.summarise_labels`.
        rewards: see `summarise_rewards` there; with ``with_labels``, the reward with the label bonus.
        truth: estimates with the ``control`` of each: agreement of the reward with the renderer among versions of the
            true labels that are ``equally_wrong``, and among ``growing`` shares of wrong ones (control: their number);
            ``identical``, the share of kept samples that are copies in the files written.
        versions: the rows behind the agreement.
        pairs: one row for each test pair and method.
    """

    reconstruction: dict
    labels: dict
    rewards: dict
    truth: dict
    versions: pd.DataFrame
    pairs: pd.DataFrame


def run_audit(
    settings: AuditSettings, cache: PairCache, pairs: pd.DataFrame, samples: Path, trained: Trained,
    weights: RewardWeights, seed: int,
) -> Audit:  # fmt: skip
    """Measure everything on the test pairs whose edit list is known.

    Args:
        settings: see `AuditSettings`.
        cache: of the pairs.
        pairs: from `read_pairs`.
        samples: folder of the edits that `editor-render` wrote.
        trained: the models.
        weights: of the reward.
        seed: of draws and resampling.

    Raises:
        CorpusError: there is no such pair.
    """
    rows = cache.rows("test")
    rows = rows[cache.table["known"].to_numpy()[rows]]
    if not len(rows):
        raise CorpusError(STAGE, expected="test pairs whose edit list is known", found="none")
    methods = {"policy": by_policy(trained.policy), "imitation": by_policy(trained.imitation)} | baselines(cache)
    methods |= controls(cache, trained.policy, trained.imitation)
    scored = score_split(cache, rows, methods, judge_reward(trained.reconstruction, weights))
    rewards = summarise_rewards(scored, STAGE, seed, settings.n_bootstrap)
    for method, own in scored.groupby("method"):
        bonus = own["reward"] + weights.labels * own["labels"]
        generator = keyed_generator(seed, STAGE, f"with labels {method}")
        rewards[method]["with_labels"] = group_mean(bonus, own["group"], generator, settings.n_bootstrap).as_dict()
    rendered = _spread(cache, rows, settings.n_rendered)
    truth, versions = _against_audio(settings, cache, rendered, pairs, samples, trained, seed)
    measured = reconstruction_table(cache, rows, trained.reconstruction, seed)
    return Audit(
        summarise(measured, seed, settings.n_bootstrap),
        summarise_labels(scored, STAGE, seed, settings.n_bootstrap),
        rewards,
        truth,
        versions,
        scored,
    )


def _spread(cache: PairCache, rows: np.ndarray, n_rows: int) -> np.ndarray:
    """Return so many of the rows, of as many groups as there are."""
    groups = cache.table["group"].iloc[rows]
    return rows[np.argsort(groups.groupby(groups).cumcount().to_numpy(), kind="stable")][:n_rows]


def _against_audio(
    settings: AuditSettings, cache: PairCache, rows: np.ndarray, pairs: pd.DataFrame, samples: Path, trained: Trained,
    seed: int,
) -> tuple[dict, pd.DataFrame]:  # fmt: skip
    """Hold the reward against rendered audio, and what written edits keep against the recording."""
    features, known = Features(cache.settings), pairs.set_index("pair_id")
    policy = by_policy(trained.policy)
    found, kept, versions = [], [], []
    groups = cache.table["group"].to_numpy()[rows]
    for row, group in track(list(zip(rows, groups, strict=True)), "rendered edits"):
        pair_id, pair = cache.table["pair_id"].iloc[row], cache.pair(int(row))
        recording = _recording(known.loc[pair_id], pair)
        table = reward_against_renderer(pair, recording, trained.reconstruction, features, seed, pair_id)
        own = {
            name: tuple(agreement(table[table["kind"] == kind], by) for by in ("model", "n_wrong"))
            for name, kind in (("equally_wrong", "equal"), ("growing", "growing"))
        }
        versions.append(table.assign(pair_id=pair_id))
        edit = from_labels(policy(pair), recording.spans, recording.sample_rate, Tone())
        found.append(own)
        if edit.segments:
            with TemporaryDirectory() as folder:
                kept.append((group, *written_share(read_exact(known.loc[pair_id, "raw_path"]), edit, Path(folder))))
    shares = pd.concat([pd.DataFrame(kept, columns=["group", *SHARES]), written_shares(samples, pairs)])
    truth = {name: _held(settings, np.array([own[name] for own in found]), groups, name, seed) for name in found[0]}
    truth["identical"] = _held(settings, shares[SHARES].to_numpy(), shares["group"].to_numpy(), "identical", seed)
    return truth, pd.concat(versions, ignore_index=True)


def _held(settings: AuditSettings, values: np.ndarray, groups: np.ndarray, name: str, seed: int) -> dict:
    """Return the estimate of the first of two columns, with the mean of the second as its ``control``."""
    value, control = (
        group_mean(own, groups, keyed_generator(seed, STAGE, f"{name} {which}"), settings.n_bootstrap)
        for which, own in zip(("value", "control"), values.T, strict=True)
    )
    return value.as_dict() | {"control": control.as_dict()["value"]}


def _recording(row: pd.Series, pair: CachedPair) -> Recording:
    """Read a pair's audio, with the beats that the cache has."""
    edit, _ = truth_of(row)
    edges = np.rint(np.cumsum(np.append(0.0, pair.seconds)) * edit.sample_rate).astype(np.int64)
    return Recording.open(row["raw_path"], edit, np.stack([edges[:-1], edges[1:]], axis=1))
