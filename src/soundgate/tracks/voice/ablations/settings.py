"""The section of the comparison."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from soundgate.evaluation.multiple import fewest_units
from soundgate.runtime.config import Section


class ComparisonSettings(Section):
    """Section ``voice.ablations``.

    Args:
        baseline: the arm all others are held against.
        again: the baseline trained from other seeds (A/A): what differs by chance alone.
        arms: the others, in the order they are shown; each is conf/ablation/<arm>.yaml.
        measures: what is compared, and whether more of it is better; losses of the training are no measure, since
            an arm changes what they are made of.
        endpoints: the measures that verdicts are of, fixed before any arm is run; the others are shown without.
        alpha: the chance of any false difference, over all arms and endpoints.
        n_bootstrap: resamples of each interval.
    """

    baseline: str
    again: str
    arms: tuple[str, ...] = Field(min_length=1)
    measures: dict[str, Literal["higher", "lower"]] = Field(min_length=1)
    endpoints: tuple[str, ...] = Field(min_length=1)
    alpha: float = Field(gt=0, lt=1)
    n_bootstrap: int = Field(ge=100)

    @model_validator(mode="after")
    def _arms_are_distinct(self) -> ComparisonSettings:
        names = self.all_arms
        if len(set(names)) != len(names):
            raise ValueError(f"arms that differ, got {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _endpoints_are_measures(self) -> ComparisonSettings:
        names = self.endpoints
        if len(set(names)) != len(names) or not set(names) <= set(self.measures):
            raise ValueError(f"endpoints that differ and stand in measures, got {', '.join(names)}")
        return self

    @property
    def all_arms(self) -> tuple[str, ...]:
        """The baseline, the baseline again, the others."""
        return self.baseline, self.again, *self.arms

    @property
    def level(self) -> float:
        """The chance of any false difference on one endpoint (Bonferroni over endpoints)."""
        return self.alpha / len(self.endpoints)

    @property
    def fewest_seeds(self) -> int:
        """With fewer seeds than these no difference can be shown, however large."""
        return fewest_units(self.level)
