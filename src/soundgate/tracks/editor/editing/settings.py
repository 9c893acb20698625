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
        policy_level_db: level that recordings are scaled to before the policy hears them, see
            `soundgate.tracks.editor.deciding.levels.active_level_db`: what the pairs that it learns from have.
    """

    n_pairs: int = Field(ge=1)
    griffin_lim_iterations: int = Field(ge=1)
    tempo_bpm: float = Field(gt=20, lt=400)
    max_beat_s: float = Field(gt=0)
    policy_level_db: float
