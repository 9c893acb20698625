"""The section of doing no harm."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section


class HarmlessThresholds(Section):
    """What the gates demand.

    Args:
        finished_song_cut: share of a finished song that is cut, at most.
        dead_air_f1: of the dead air of sessions, in seconds, at least.
        repeated_takes_f1: of their takes that are not kept, likewise.
    """

    finished_song_cut: float = Field(ge=0, le=1)
    dead_air_f1: float = Field(ge=0, le=1)
    repeated_takes_f1: float = Field(ge=0, le=1)


class HarmlessSettings(Section):
    """Section ``editor.harmless``.

    Args:
        n_songs: of the test split, at most, of as many groups as there are.
        longest_s: what a song has beyond it is left out.
        quiet_db: the loudness rule, a control: beats that are so far below the recording's active level are cut.
        thresholds: see `HarmlessThresholds`.
        n_bootstrap: resamples of each interval.
    """

    n_songs: int = Field(ge=1)
    longest_s: float = Field(gt=0)
    quiet_db: float = Field(gt=0)
    thresholds: HarmlessThresholds
    n_bootstrap: int = Field(ge=100)
