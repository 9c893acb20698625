"""Who may learn from what: Labs and Lab 3, the held-out judges, or nobody."""

from __future__ import annotations

import pandas as pd
from pydantic import Field, model_validator

from soundgate.runtime.config import Section
from soundgate.runtime.randomness import keyed_generator

SPLITS = ("train", "judge", "test")


class SplitFractions(Section):
    """Shares of the groups; what is left trains.

    Args:
        judge: for the held-out judges.
        test: for measuring.
    """

    judge: float = Field(ge=0, lt=1)
    test: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _something_left(self) -> SplitFractions:
        if self.judge + self.test >= 1:
            raise ValueError("judge and test must leave something to train on")
        return self


def split_groups(strata: pd.Series, fractions: SplitFractions, seed: int, stage: str) -> pd.Series:
    """Draw each group's split, stratum by stratum.

    A stratum of one group trains; of two, the second tests; of three and more, each split has at least one.

    Args:
        strata: stratum by group (the index): groups that may be exchanged for one another.
        fractions: shares.
        seed: of the draws.
        stage: keys the draws.

    Returns:
        One of ``SPLITS`` by group, in the order given.
    """
    result = pd.Series("train", index=strata.index, dtype=object)
    for stratum, groups in strata.groupby(strata, sort=True):
        order = keyed_generator(seed, stage, str(stratum)).permutation(sorted(groups.index))
        n_test = _count(len(order), fractions.test, at_least=2)
        n_judge = _count(len(order), fractions.judge, at_least=3)
        result[order[:n_test]] = "test"
        result[order[n_test : n_test + n_judge]] = "judge"
    return result


def _count(n_groups: int, fraction: float, at_least: int) -> int:
    if n_groups < at_least or fraction == 0:
        return 0
    return max(1, round(n_groups * fraction))
