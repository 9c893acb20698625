"""The section of the outside judge."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section


class OutsideThresholds(Section):
    """What the gates demand, on the same passages.

    Args:
        over_untrained: points of MOS-LQO by which the vocoder is rated above the untrained one, at least.
        over_griffin_lim: above Griffin-Lim, likewise.
        nsim_over_untrained: of the mean similarity, 0 to 1, likewise above the untrained one.
        nsim_over_griffin_lim: above Griffin-Lim, likewise.
    """

    over_untrained: float = Field(gt=0)
    over_griffin_lim: float = Field(gt=0)
    nsim_over_untrained: float = Field(gt=0)
    nsim_over_griffin_lim: float = Field(gt=0)


class OutsideSettings(Section):
    """Section ``editor.outside``.

    Args:
        per_song: passages of each song of the test split, from edits of their own.
        duration_s: of a passage, from the middle of an edit; the judge compares whole patches of 0.6 s, 1.6 s have two.
        griffin_lim_iterations: of the method without training.
        noise_db: signal-to-noise ratio of a noisy copy, which the judge must rate above one with more noise and above
            another song.
        more_noise_db: signal-to-noise ratio of the copy with more noise.
        thresholds: see `OutsideThresholds`.
        n_bootstrap: resamples of each interval.
    """

    per_song: int = Field(ge=1)
    duration_s: float = Field(ge=1.1)
    griffin_lim_iterations: int = Field(ge=1)
    noise_db: float
    more_noise_db: float
    thresholds: OutsideThresholds
    n_bootstrap: int = Field(ge=100)
