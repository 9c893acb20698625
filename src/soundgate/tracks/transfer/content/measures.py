"""What Lab 1 is judged by, on music it never saw: leakage, style, music gate, and content with its controls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from soundgate.evaluation.gates import gated
from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.augment import rerecord
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.content.model import ContentModel

STAGE = "transfer-content"
BATCH = 128


@torch.no_grad()
def embed(model: ContentModel, cache: ChunkCache, device: torch.device) -> dict[str, np.ndarray]:
    """Return ``content`` [N, 128], ``style`` [N, 128] and ``music_probability`` [N] of every chunk, float32."""
    parts = []
    for first in range(0, len(cache.index), BATCH):
        rows = np.arange(first, min(first + BATCH, len(cache.index)))
        analysis = model(cache.batch(rows).to(device))
        parts.append((analysis.content, analysis.style, torch.sigmoid(analysis.music_logit)))
    names = ("content", "style", "music_probability")
    return {name: torch.cat(part).cpu().numpy() for name, part in zip(names, zip(*parts, strict=True), strict=True)}


def measure_content(
    model: ContentModel, cache: ChunkCache, embeddings: dict, device: torch.device, seed: int, n_bootstrap: int
) -> dict:
    """Measure Lab 1 on the test rows.

    Returns:
        ``gates`` (see `soundgate.evaluation.gates.gated`), and what stands beside them.
    """
    generator = keyed_generator(seed, STAGE, "bootstrap")
    test = cache.rows("test")
    index = cache.index.iloc[test]
    groups = index["group"].to_numpy()
    pairs, kind = rendering_pairs(cache, test), "renderings"
    content = embeddings["content"]
    if len(pairs):
        same = (content[pairs[:, 0]] * content[pairs[:, 1]]).sum(-1)
        same_groups = cache.index["group"].to_numpy()[pairs[:, 0]]
    else:
        kind = "re-recorded in the mel domain"
        same, same_groups = _against_rerecorded(model, cache, test, content, device, seed), groups
    cosines = content[test] @ content[test].T
    different = groups[:, None] != groups[None, :]
    mismatched = np.array([cosines[i, different[i]].mean() if different[i].any() else np.nan for i in range(len(test))])
    source_probe, source_majority = probe(cache, embeddings["content"], "source", generator, n_bootstrap)
    style_probe, style_majority = probe(cache, embeddings["style"], "genre", generator, n_bootstrap)
    retrieval, chance = retrieval_across_styles(cache, test, cosines)
    return {
        "gates": {
            "leakage": gated(_minus(source_probe, source_majority), "below", 0.15, control=1 - source_majority),
            "style_probe": gated(style_probe, "above", 0.85, control=style_majority),
            "music_auc": gated(*_music_auc(cache, embeddings["music_probability"]), "above", 0.9, control=0.5),
            "same_content": gated(group_mean(same, same_groups, generator, n_bootstrap), "above", 0.92),
            "mismatched_content": gated(group_mean(mismatched, groups, generator, n_bootstrap), "below", 0.5),
        },
        "same_content_pairs": {"kind": kind, "n": len(same)},
        "retrieval_across_styles": group_mean(retrieval, groups, generator, n_bootstrap).as_dict() | {"chance": chance},
        "source_probe": source_probe.as_dict() | {"majority": source_majority},
        "n_test_chunks": len(test),
        "n_test_groups": int(index["group"].nunique()),
    }


def rendering_pairs(cache: ChunkCache, rows: np.ndarray) -> np.ndarray:
    """Return row pairs [n, 2] of one score at one moment in two genres."""
    table = cache.index.iloc[rows].assign(row=rows)[["group", "chunk", "start_s", "genre", "row"]]
    both = table.merge(table, on=["group", "chunk", "start_s"])
    both = both[(both["row_x"] < both["row_y"]) & (both["genre_x"] != both["genre_y"])]
    return both[["row_x", "row_y"]].to_numpy()


def probe(
    cache: ChunkCache, features: np.ndarray, label: str, generator: np.random.Generator, n_bootstrap: int
) -> tuple[Estimate, float]:
    """Fit a linear probe on train rows and score it on test rows.

    Args:
        cache: gives the labels.
        features: [N, D].
        label: ``genre`` or ``source``.
        generator: of the bootstrap over groups.
        n_bootstrap: resamples.

    Returns:
        The accuracy, and that of always naming train's most frequent class; 1 and 1 where there is one class.
    """
    train, test = cache.rows("train"), cache.rows("test")
    labels = cache.index[label].to_numpy()
    majority = pd.Series(labels[train]).mode()[0]
    baseline = float((labels[test] == majority).mean())
    if len(set(labels[train])) == 1:
        guessed = np.full(len(test), majority)
    else:
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, C=0.1))
        guessed = classifier.fit(features[train], labels[train]).predict(features[test])
    groups = cache.index["group"].to_numpy()[test]
    return group_mean(guessed == labels[test], groups, generator, n_bootstrap), baseline


def retrieval_across_styles(cache: ChunkCache, rows: np.ndarray, cosines: np.ndarray) -> tuple[np.ndarray, float]:
    """Return for each row whether its nearest row of another genre is the same music; and what chance would give.

    Args:
        cache: gives genre, group and chunk.
        rows: int [n].
        cosines: [n, n] between them.

    Returns:
        float [n], NaN for a row without another rendering; the mean share of right answers.
    """
    index = cache.index.iloc[rows]
    genre = index["genre"].to_numpy()
    music = index.groupby(["group", "chunk"]).ngroup().to_numpy()
    hits, chances = np.full(len(rows), np.nan), []
    for i in range(len(rows)):
        candidates = np.flatnonzero(genre != genre[i])
        right = music[candidates] == music[i]
        if right.any():
            hits[i] = right[cosines[i, candidates].argmax()]
            chances.append(right.mean())
    return hits, float(np.mean(chances)) if chances else float("nan")


def _against_rerecorded(
    model: ContentModel, cache: ChunkCache, rows: np.ndarray, content: np.ndarray, device: torch.device, seed: int
) -> np.ndarray:
    torch.manual_seed(int(keyed_generator(seed, STAGE, "rerecord").integers(2**31)))
    with torch.no_grad():
        again = model(rerecord(cache.batch(rows)).to(device)).content.cpu().numpy()
    return (content[rows] * again).sum(-1)


def _music_auc(cache: ChunkCache, probability: np.ndarray) -> tuple[float | None]:
    music, other = cache.rows("test"), cache.rows("test", music=False)
    if not len(music) or not len(other):
        return (None,)
    truth = np.concatenate([np.ones(len(music)), np.zeros(len(other))])
    return (float(roc_auc_score(truth, probability[np.concatenate([music, other])])),)


def _minus(estimate: Estimate, baseline: float) -> Estimate:
    return Estimate(estimate.value - baseline, estimate.ci_low - baseline, estimate.ci_high - baseline, estimate.n)
