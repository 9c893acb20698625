"""What a judge is asked whose answer is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Literal

import numpy as np

from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.statistics import Estimate, proportion_estimate
from soundgate.judges.base import Judge
from soundgate.runtime.randomness import keyed_generator

N_BOOTSTRAP = 2000

Statistics = dict[str, Estimate]


@dataclass(frozen=True)
class Recording:
    """A real utterance.

    Attributes:
        name: unique in its corpus.
        speaker: who speaks.
        wav: float32 [T].
        sample_rate: Hz.
    """

    name: str
    speaker: str
    wav: np.ndarray
    sample_rate: int


Measure = Callable[[Sequence[Judge], Sequence[Recording]], list[Statistics]]


@dataclass(frozen=True)
class Question:
    """What is asked of a judge.

    Attributes:
        key: of its statistic in what ``measure`` returns.
        text: what is asked.
        unit: what is independent.
        better: the direction of the statistic.
        chance: what guessing gives; NaN where only the twin says it.
        measure: from judges and recordings to each judge's statistics by key; it may answer several questions.
        needs_recordings: whether it is asked of real speech.
    """

    key: str
    text: str
    unit: str
    better: Literal["higher", "lower"]
    chance: float
    measure: Measure
    needs_recordings: bool = True


def each(measure: Callable[[Judge, Sequence[Recording]], Statistics]) -> Measure:
    """Let what measures one judge measure several, one after another."""

    @wraps(measure)
    def measured(judges: Sequence[Judge], recordings: Sequence[Recording]) -> list[Statistics]:
        return [measure(judge, recordings) for judge in judges]

    return measured


def mean_by_group(values: Sequence[float], groups: Sequence[str], low: float, high: float) -> Estimate:
    """Return the mean of values with its interval over groups, within the bounds of the values.

    Where all values lie at one bound there is no spread to resample: the interval is then Wilson's with as many trials
    as there are groups, so that a few cannot prove anything by agreeing.
    """
    given, n_groups = np.array(values, float), len(set(groups))
    for bound, successes in ((low, 0), (high, n_groups)):
        if (given == bound).all():
            share = proportion_estimate(successes, n_groups)
            ends = (low + (high - low) * end for end in (share.ci_low, share.ci_high))
            return Estimate(bound, *ends, n_groups)
    found = group_mean(given, np.array(groups), keyed_generator(0, "judge-trial"), N_BOOTSTRAP)
    return Estimate(found.value, max(low, found.ci_low), min(high, found.ci_high), found.n)
