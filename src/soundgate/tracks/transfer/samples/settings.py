"""The section of the samples."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section
from soundgate.tracks.transfer.style.vectors import Mode


class SamplesSettings(Section):
    """Section ``transfer.samples``.

    Args:
        max_sources: chunks of each genre that are transferred for the audit; None: every test chunk.
        clips_per_pair: clips in the sample pack for each ordered pair of genres and each path, of different scores
            where there are as many.
        mode: of the vectors that steer both paths.
        griffin_lim_iterations: of the mel path's waves.
    """

    max_sources: int | None = Field(ge=1)
    clips_per_pair: int = Field(ge=0)
    mode: Mode
    griffin_lim_iterations: int = Field(ge=1)
