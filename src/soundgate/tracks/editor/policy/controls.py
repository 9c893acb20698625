"""Editors that know little: what a policy must be better than to have learnt more than which beats to cut."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from soundgate.tracks.editor.cache import CachedPair, PairCache
from soundgate.tracks.editor.policy.model import EditPredictor
from soundgate.tracks.editor.policy.predict import predict_labels
from soundgate.tracks.editor.policy.reward import plays_of
from soundgate.tracks.editor.vocabulary import BEAT_LABELS, Label

_PLAYS = plays_of(torch.tensor(BEAT_LABELS)).numpy()


class Habits(NamedTuple):
    """What the edits of a corpus have in common, whatever is recorded.

    Args:
        ratio: length of an edit over that of its raw recording: the one whose mean relative error is smallest.
        n_faded: fade-in beats that an edit begins with, the commonest number.
    """

    ratio: float
    n_faded: int

    @classmethod
    def of(cls, cache: PairCache, rows: np.ndarray) -> Habits:
        """Measure them on pairs; without any, everything is kept and nothing faded."""
        pairs = [cache.pair(int(row)) for row in rows]
        if not pairs:
            return cls(1.0, 0)
        ratios = np.array([pair.seconds @ pair.plays / pair.seconds.sum() for pair in pairs])
        faded = [_leading_fades(pair.labels) for pair in pairs]
        return cls(_nearest_ratio(ratios[ratios > 0]), int(np.bincount(faded).argmax()))


def collapsed(labels: np.ndarray, n_faded: int) -> np.ndarray:
    """Reduce labels to CUT and KEEP, with a fade in at the beginning that is always the same.

    Args:
        labels: int64 [N].
        n_faded: beats that fade in: the first ones, as far as they are not cut.

    Returns:
        int64 [N].
    """
    reduced = np.where(labels == Label.CUT, Label.CUT, Label.KEEP)
    reduced[:n_faded] = np.where(reduced[:n_faded] == Label.CUT, Label.CUT, Label.FADE_IN)
    return reduced.astype(np.int64)


def constant_ratio(seconds: np.ndarray, ratio: float) -> np.ndarray:
    """Keep the beginning of a recording, always the same share of it, and cut the rest.

    Args:
        seconds: float [N], the beats' lengths.
        ratio: length of an edit over that of its raw recording.

    Returns:
        int64 [N]; cut at the beat nearest to the ratio.
    """
    ends = np.concatenate([[0.0], np.cumsum(seconds)])
    kept = int(np.abs(ends - ratio * ends[-1]).argmin())
    return np.where(np.arange(len(seconds)) < kept, Label.KEEP, Label.CUT).astype(np.int64)


def at_expected_length(labels: np.ndarray, probabilities: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Loop the likeliest beats until an edit is as long as the policy itself expects.

    The likeliest label of each beat leaves out what is likely nowhere, such as loops, so that their length is lost.

    Args:
        labels: int64 [N], the likeliest ones.
        probabilities: float [N, 8] of all labels.
        seconds: float [N], the beats' lengths.

    Returns:
        int64 [N]; unchanged where the edit is long enough.
    """
    expected = seconds @ (probabilities[:, : len(BEAT_LABELS)] @ _PLAYS)
    longer, length = labels.copy(), seconds @ _PLAYS[labels]
    for beat in np.argsort(-probabilities[:, Label.LOOP], kind="stable"):
        if length >= expected:
            break
        if labels[beat] == Label.KEEP:
            longer[beat] = Label.LOOP
            length += seconds[beat] * (_PLAYS[Label.LOOP] - _PLAYS[Label.KEEP])
    return longer


def controls(cache: PairCache, policy: EditPredictor, imitation: EditPredictor) -> dict:
    """Return the controls as methods that label a pair, int64 [N].

    ``collapse`` and ``imitation_collapse`` are `collapsed` labels of policy and imitation, ``constant_ratio`` and
    ``expected_length`` (of the policy) the functions above; `Habits` are those of the train pairs.

    Args:
        cache: of the pairs.
        policy: after PPO.
        imitation: before.
    """
    habits = Habits.of(cache, cache.rows("train"))

    def collapse(model: EditPredictor):
        return lambda pair: collapsed(predict_labels(model, pair.raw, pair.edges)[0], habits.n_faded)

    def expected_length(pair: CachedPair) -> np.ndarray:
        return at_expected_length(*predict_labels(policy, pair.raw, pair.edges), pair.seconds)

    return {
        "collapse": collapse(policy),
        "imitation_collapse": collapse(imitation),
        "constant_ratio": lambda pair: constant_ratio(pair.seconds, habits.ratio),
        "expected_length": expected_length,
    }


def _nearest_ratio(ratios: np.ndarray) -> float:
    """Return the ratio r of the smallest mean |r / ratio - 1|: the median with weights 1 / ratio; 0 of none."""
    rising = np.sort(ratios)
    weights = np.cumsum(1 / rising)
    return float(rising[np.searchsorted(weights, weights[-1] / 2)]) if len(rising) else 0.0


def _leading_fades(labels: np.ndarray) -> int:
    """Return how many FADE_IN an edit begins with, cuts left aside."""
    heard = labels[labels != Label.CUT]
    others = np.flatnonzero(heard != Label.FADE_IN)
    return int(others[0]) if len(others) else len(heard)
