"""Which pieces of a track are used, and their audio."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from soundgate.audio.io import read_audio
from soundgate.runtime.config import Section
from soundgate.runtime.randomness import keyed_generator

STAGE = "transfer-cache"
# Less than this, played again and again to fill a chunk, is a tone of its own making.
SHORTEST_S = 0.1


class ChunkSettings(Section):
    """Chunks of a track.

    Args:
        duration_s: of a chunk.
        per_track: at most so many.
        sampling: ``uniform`` (evenly spaced starts) or ``random``.
        min_start_s: earliest start.
        max_start_s: latest start; None: as late as the track allows.
    """

    duration_s: float = Field(gt=0)
    per_track: int = Field(ge=1)
    sampling: Literal["uniform", "random"]
    min_start_s: float = Field(ge=0)
    max_start_s: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> ChunkSettings:
        if self.max_start_s is not None and self.max_start_s < self.min_start_s:
            raise ValueError(f"max_start_s {self.max_start_s} is before min_start_s {self.min_start_s}")
        return self


def chunk_starts(track_s: float, settings: ChunkSettings, seed: int, group: str) -> list[float]:
    """Return where a track's chunks start.

    Args:
        track_s: the track's length, s.
        settings: see `ChunkSettings`.
        seed: of random starts.
        group: keys random starts, so that all renderings of a score start alike.

    Returns:
        Different starts in s, ascending; a track no longer than a chunk has one, at 0.
    """
    latest = max(0.0, track_s - settings.duration_s)
    if settings.max_start_s is not None:
        latest = min(latest, settings.max_start_s)
    earliest = min(settings.min_start_s, latest)
    if settings.sampling == "uniform":
        starts = np.linspace(earliest, latest, settings.per_track) if settings.per_track > 1 else [earliest]
    else:
        starts = np.sort(keyed_generator(seed, STAGE, group).uniform(earliest, latest, settings.per_track))
    # To a hundredth: finer ones differ between renderings by rounding of the tracks' lengths alone.
    return sorted({round(float(start), 2) for start in starts})


def chunk_wavs(path: str | Path, starts: list[float], duration_s: float, sample_rate: int) -> np.ndarray:
    """Read chunks of one track; one that ends before its chunk does is played again from its start.

    Args:
        path: the audio file.
        starts: s.
        duration_s: of each.
        sample_rate: Hz to resample to.

    Returns:
        float32 [n, round(duration_s · sample_rate)], mono.

    Raises:
        AudioError: the file cannot be used.
    """
    wav = read_audio(path, sample_rate=sample_rate, mono=True).wav[0]
    n_samples = round(duration_s * sample_rate)
    chunks = [wav[round(start * sample_rate) :][:n_samples] for start in starts]
    return np.stack([np.resize(chunk, n_samples) for chunk in chunks])


def chunk_wav(path: str | Path, start_s: float, duration_s: float, sample_rate: int) -> np.ndarray:
    """Read one chunk, float32 [T]; see `chunk_wavs`."""
    return chunk_wavs(path, [start_s], duration_s, sample_rate)[0]
