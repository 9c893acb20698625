"""Null distributions of the largest gain, and the null of contexts taken from another utterance.

Nulls run in the leading principal components, where the statistic is cheap; the observed value they are compared with
is computed in the same components, from the same utterances, by the same code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from soundgate.evaluation.statistics import permutation_p
from soundgate.runtime.execution import map_items
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.structure.cells import membership, shrunk_means
from soundgate.tracks.structure.gain import slice_masks
from soundgate.tracks.structure.sequences import EVAL, TRAIN, Sequences

STAGE = "structure-metrics"


@dataclass(frozen=True)
class NullResult:
    """Observed gains ``[columns, slices]``, the largest gain of each null draw ``[m]`` and the p-values.

    ``p_values`` are corrected for the search over conditions, lags and slices: each observed gain is compared with
    the largest of each draw.

    Source: Westfall & Young 1993 (maximum statistic).
    """

    observed: np.ndarray
    largest: np.ndarray

    @property
    def p_values(self) -> np.ndarray:
        """Corrected p-values ``[columns, slices]``."""
        return np.vectorize(partial(permutation_p, null=self.largest))(self.observed)


@dataclass(frozen=True)
class GainProblem:
    """Innovations in memory with what the gains of any assignment need.

    Attributes:
        innovation: ``[n, q]`` of valid frames.
        train: bool ``[n]``.
        slices: eval frames of each slice, bool ``[S, n]``.
    """

    innovation: np.ndarray
    train: np.ndarray
    slices: np.ndarray

    def gains(self, ids: np.ndarray) -> np.ndarray:
        """Return the held-out gain of one assignment ``[n]`` on each slice, NaN-free: 0 where a slice is empty."""
        _, labels = np.unique(ids, return_inverse=True)
        n_cells = int(labels.max()) + 1
        y = self.innovation
        count = np.bincount(labels[self.train], minlength=n_cells).astype(float)
        total = membership(labels[self.train], n_cells, y.dtype) @ y[self.train]
        filled = np.maximum(count, 1)[:, None]
        within = np.square(y[self.train]).sum() - (np.square(total) / filled).sum()
        means = shrunk_means(count, total, within)
        overall = total.sum(0) / count.sum()
        gains = np.zeros(len(self.slices))
        for s, rows in enumerate(self.slices):
            base = np.square(y[rows] - overall).sum()
            if base > 0:
                gains[s] = 1 - np.square(y[rows] - means[labels[rows]]).sum() / base
        return gains


def choose_utterances(sequences: Sequences, max_frames: int, seed: int) -> np.ndarray:
    """Return a keyed choice of utterances with at most ``max_frames`` frames in all, rising; all where they fit."""
    order = keyed_generator(seed, STAGE, "null utterances").permutation(len(sequences.lengths))
    fits = np.cumsum(sequences.lengths[order]) <= max_frames
    return np.sort(order[fits])


def swap_null(
    problem: GainProblem,
    columns: np.ndarray,
    utterance: np.ndarray,
    speaker: np.ndarray,
    n_draws: int,
    seed: int,
) -> NullResult:
    """Compare gains with those of contexts taken from another utterance of the same speaker.

    Args:
        problem: the innovations.
        columns: cell of each valid frame for each condition and lag, int ``[columns, n]``.
        utterance: utterance of each valid frame, rising, ``[n]``.
        speaker: speaker of each valid frame ``[n]``.
        n_draws: permutations.
        seed: the experiment's.

    Returns:
        The null result. Speaker and position stay as they were, so a gain that only they explain is no gain.
    """
    observed = np.stack([problem.gains(ids) for ids in columns])
    one = partial(_swapped_gain, problem=problem, columns=columns, utterance=utterance, speaker=speaker, seed=seed)
    return NullResult(observed, np.array(list(map_items(one, range(n_draws), "null: swapped utterances"))))


def _swapped_gain(
    draw: int,
    *,
    problem: GainProblem,
    columns: np.ndarray,
    utterance: np.ndarray,
    speaker: np.ndarray,
    seed: int,
) -> float:
    source = swapped_rows(utterance, speaker, problem.train, keyed_generator(seed, STAGE, f"swap {draw}"))
    return max(float(problem.gains(ids[source]).max()) for ids in columns)


def swapped_rows(
    utterance: np.ndarray, speaker: np.ndarray, train: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Return, for each frame, the row of the frame at the same place of another utterance of the speaker.

    Utterances go round a random cycle inside each speaker and each of train and not train. A shorter source is read
    again from its start. An utterance alone in its group is turned by half its length instead.

    Args:
        utterance: utterance of each frame, in runs ``[n]``.
        speaker: ``[n]``.
        train: bool ``[n]``.
        generator: for the cycles.

    Returns:
        Row numbers int64 ``[n]``.
    """
    starts = np.flatnonzero(np.diff(utterance, prepend=-1))
    lengths = np.diff(np.append(starts, len(utterance)))
    group = speaker[starts].astype(np.int64) * 2 + train[starts]
    source = np.empty(len(utterance), np.int64)
    for g in np.unique(group):
        members = generator.permutation(np.flatnonzero(group == g))
        for here, there in zip(members, np.roll(members, 1), strict=True):
            step = np.arange(lengths[here]) + (lengths[here] // 2 if here == there else 0)
            source[starts[here] : starts[here] + lengths[here]] = starts[there] + step % lengths[there]
    return source


def gain_problem(
    sequences: Sequences, innovation: np.ndarray, valid: np.ndarray, medial: tuple[float, float]
) -> GainProblem:
    """Collect what gains need from the innovations of the valid frames ``[n, q]``."""
    split = sequences.split[sequences.utterance[valid]]
    masks = np.stack([mask[valid] & (split == EVAL) for mask in slice_masks(sequences, medial).values()])
    return GainProblem(innovation.astype(np.float64), split == TRAIN, masks)
