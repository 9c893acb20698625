"""From what rules would cut to labels of beats: only what is sure enough is done."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soundgate.tracks.editor.deciding.rules import Cut
from soundgate.tracks.editor.vocabulary import Label

# What is left between two cuts and is shorter is no music.
_SLIVER_S = 0.3
# Beats so near an edge of a cut are left out of the grid.
_NEAR_S = 0.1


def choose(cuts: Sequence[Cut], threshold: float) -> list[Cut]:
    """Return the cuts that are sure enough, in the order of time; between them lies nothing too short to be heard.

    Args:
        cuts: from `soundgate.tracks.editor.deciding.rules.find_cuts`.
        threshold: of the score.
    """
    chosen = sorted(cut for cut in cuts if cut.score >= threshold)
    closed, reached = [], -np.inf
    for cut in chosen:
        # To the end of all cuts before it, so that what one of them covers is not counted as a sliver.
        sliver = 0 < cut.start_s - reached < _SLIVER_S
        closed.append(cut._replace(start_s=reached) if sliver else cut)
        reached = max(reached, cut.stop_s)
    return closed


def with_edges(beats: np.ndarray, cuts: Sequence[Cut], sample_rate: int) -> np.ndarray:
    """Return beats and the edges of cuts, int64 samples, rising; beats beside an edge give way to it.

    Args:
        beats: samples, rising.
        cuts: from `choose`.
        sample_rate: Hz.
    """
    edges = np.rint(np.unique([time for start, stop in cut_spans(cuts) for time in (start, stop)]) * sample_rate)
    if not len(edges):
        return beats
    far = np.abs(np.asarray(beats)[:, None] - edges).min(axis=1) > _NEAR_S * sample_rate
    return np.unique(np.concatenate([np.asarray(beats)[far], edges])).astype(np.int64)


def label_beats(
    spans: np.ndarray, cuts: Sequence[Cut], sample_rate: int
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Label beats: CUT what cuts cover, KEEP all else.

    Args:
        spans: int64 [N, 2], samples; no edge of a cut lies within one.
        cuts: from `choose`.
        sample_rate: Hz.

    Returns:
        Labels, int64 [N]; probabilities, float32 [N, 8]: of CUT the score of the surest rule; and its name, empty
        where nothing is cut.
    """
    labels = np.full(len(spans), Label.KEEP, np.int64)
    scores, rules = np.zeros(len(spans), np.float32), np.full(len(spans), "", object)
    middles = spans.mean(axis=1) / sample_rate
    for cut in cuts:
        inside = (middles >= cut.start_s) & (middles < cut.stop_s)
        surer = inside & (cut.score > scores)
        labels[inside] = Label.CUT
        scores[surer], rules[surer] = cut.score, cut.rule
    probabilities = np.zeros((len(spans), len(Label)), np.float32)
    probabilities[:, Label.CUT], probabilities[:, Label.KEEP] = scores, 1 - scores
    return labels, probabilities, tuple(rules)


def confident(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Return labels with KEEP for those that are less probable than a threshold, int64 [N].

    Args:
        labels: [N], values of `Label`.
        probabilities: [N, 8].
        threshold: 0 to 1.
    """
    return np.where(probabilities[np.arange(len(labels)), labels] >= threshold, labels, Label.KEEP)


def cut_spans(cuts: Sequence[Cut]) -> list[tuple[float, float]]:
    """Return what cuts cover together, in seconds, in the order of time; no two touch."""
    joined: list[tuple[float, float]] = []
    for cut in sorted(cuts):
        if joined and cut.start_s <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], cut.stop_s))
        else:
            joined.append((cut.start_s, cut.stop_s))
    return joined
