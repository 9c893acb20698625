"""Recordings of any length on their way through a transfer: their samples lie on disk, blocks are floats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from soundgate.audio.exact import ExactAudio
from soundgate.audio.programme import full_scale
from soundgate.audio.spooled import open_exact
from soundgate.runtime.errors import AudioError
from soundgate.runtime.paths import path_to_text

# Sample frames that are in memory at once.
BLOCK = 2**18


@dataclass(frozen=True)
class Recording:
    """A recording.

    Args:
        path: of the file.
        audio: its samples as the file has them, in a temporary file.
    """

    path: Path
    audio: ExactAudio

    @property
    def rate(self) -> int:
        """Hz."""
        return self.audio.sample_rate

    @property
    def channels(self) -> int:
        """Channels."""
        return len(self.audio.samples)

    def __len__(self) -> int:
        """Return the sample frames."""
        return self.audio.samples.shape[1]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self) / self.rate

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return sample frames at full scale 1, float32 [stop - start, C], fewer at the end."""
        return read_floats(self.audio.samples, start, stop)

    def blocks(self, size: int = BLOCK) -> Iterator[np.ndarray]:
        """Yield all sample frames at full scale 1, float32 [t, C], t at most ``size``."""
        for first in range(0, len(self), size):
            yield self.read(first, first + size)


def read_floats(samples: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return part of [C, T] (floats, or int32 with its bits on the left) at full scale 1, float32 [t, C]."""
    return np.ascontiguousarray(full_scale(samples[:, start:stop]).T, np.float32)


def open_recording(path: str | Path, folder: Path) -> Recording:
    """Decode a file into a temporary file.

    Args:
        path: the file.
        folder: of the temporary file.

    Raises:
        AudioError: it cannot be read (see `soundgate.audio.spooled.open_exact`), or is silent.
    """
    recording = Recording(Path(path), open_exact(path, folder))
    if not any(block.any() for block in recording.blocks()):
        found = f"all zero: {recording.seconds:.2f} s of silence"
        raise AudioError(path_to_text(path), expected="sound", found=found, remedy="Give a recording that has sound.")
    return recording


def mono_passage(samples: np.ndarray, rate: int, start_s: float, length_s: float, to_rate: int) -> np.ndarray:
    """Return a passage of [C, T], the mean of its channels, resampled (soxr HQ), float32 [t]."""
    first = round(start_s * rate)
    wav = read_floats(samples, first, first + round(length_s * rate)).mean(axis=1, dtype=np.float64)
    return soxr.resample(wav.astype(np.float32), rate, to_rate, quality="HQ")
