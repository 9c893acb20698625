"""The section of the outside judge."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section


class OutsideThresholds(Section):
    """What the gates demand of transfers' waves: of the F1 of each frame's notes, and of what else is heard.

    Args:
        over_shuffled: by how much a transfer agrees more with its source than with other music, at least.
        lost: by how much a transfer agrees less with its source than the path's own copy of it, or the true rendering,
            does, at most.
        drums: share of the percussive rises above 3 kHz that a transfer has in common with the true rendering, at
            least; see `soundgate.tracks.transfer.outside.waves.compare`.
    """

    over_shuffled: float = Field(gt=0, le=1)
    lost: float = Field(gt=0, le=1)
    drums: float = Field(gt=0, le=1)


class OutsideSettings(Section):
    """Section ``transfer.outside``.

    Args:
        n_sources: test chunks that are transferred, each to one genre; as many groups as there are have one first.
        noise_db: signal-to-noise ratio at which the judge must still hear a source's own notes.
        thresholds: see `OutsideThresholds`.
        n_bootstrap: resamples of each interval.
    """

    n_sources: int = Field(ge=1)
    noise_db: float
    thresholds: OutsideThresholds
    n_bootstrap: int = Field(ge=100)
