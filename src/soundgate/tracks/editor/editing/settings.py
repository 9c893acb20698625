"""Settings of editing, for the command and for the stage that renders samples."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section


class RenderSettings(Section):
    """Section ``editor.render``.

    Args:
        n_pairs: of the test split, whose edits are rendered to listen to.
        griffin_lim_iterations: where there is no vocoder.
        tempo_bpm: centre of the tracker's tempo prior, and the grid where no beats are found.
        max_beat_s: a longer beat is split, as for training.
    """

    n_pairs: int = Field(ge=1)
    griffin_lim_iterations: int = Field(ge=1)
    tempo_bpm: float = Field(gt=20, lt=400)
    max_beat_s: float = Field(gt=0)
