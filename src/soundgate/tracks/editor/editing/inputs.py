"""What an edit starts from: the recording with every bit it has, and its beats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from soundgate.audio.exact import ExactAudio
from soundgate.audio.programme import full_scale
from soundgate.audio.spooled import open_exact, spooled
from soundgate.runtime.console import logger, track
from soundgate.runtime.errors import FormatError
from soundgate.tracks.editor.beats import TRACKING_RATE, track_beats
from soundgate.tracks.editor.text_rows import is_timed, read_rows

_BLOCK_S = 20


@dataclass(frozen=True)
class Recording:
    """A recording to edit.

    Args:
        audio: its samples as the file has them.
        mono: float32 [T] at ``TRACKING_RATE``: the mean of the channels, at full scale 1.
    """

    audio: ExactAudio
    mono: np.ndarray

    @property
    def n_samples(self) -> int:
        """Samples of a channel, at the file's rate."""
        return self.audio.samples.shape[1]

    @property
    def silent(self) -> bool:
        """Whether no channel has any sound."""
        samples, block = self.audio.samples, _BLOCK_S * self.audio.sample_rate
        return not any(samples[:, first : first + block].any() for first in range(0, self.n_samples, block))


def open_recording(path: str | Path, folder: Path) -> Recording:
    """Open a recording of any length, rate and number of channels.

    Args:
        path: the file.
        folder: of the temporary files that hold its samples and their mix.

    Raises:
        AudioError: see `open_exact`.
    """
    audio = open_exact(path, folder)
    return Recording(audio, mono_mix(audio.samples, audio.sample_rate, folder))


def mono_mix(samples: np.ndarray, sample_rate: int, folder: Path | None = None) -> np.ndarray:
    """Return the mean of the channels at ``TRACKING_RATE``, float32 [T], made block by block.

    Args:
        samples: [C, T], floats at full scale 1 or int32 with its bits on the left.
        sample_rate: Hz.
        folder: of the temporary file that holds the mix; None keeps it in memory.
    """
    total, block = samples.shape[1], _BLOCK_S * sample_rate
    stream = soxr.ResampleStream(sample_rate, TRACKING_RATE, 1, "float32", quality="HQ")
    length, filled = -(-total * TRACKING_RATE // sample_rate), 0
    out = np.zeros(length, np.float32) if folder is None else spooled((1, length), np.dtype(np.float32), folder)[0]
    for first in track(range(0, total, block), "mono mix"):
        mean = full_scale(samples[:, first : first + block]).mean(axis=0, dtype=np.float64).astype(np.float32)
        if sample_rate != TRACKING_RATE:
            mean = stream.resample_chunk(mean[:, None], last=first + block >= total)[:, 0]
        mean = mean[: len(out) - filled]
        out[filled : filled + len(mean)] = mean
        filled += len(mean)
    return out


def find_beats(recording: Recording, tempo_bpm: float) -> np.ndarray:
    """Track the beats of a recording; where there are none, make a grid at the tempo prior.

    Args:
        recording: to edit.
        tempo_bpm: centre of the tracker's prior.

    Returns:
        int64 samples at the file's rate, rising.
    """
    beats = track_beats(recording.mono, TRACKING_RATE, tempo_bpm)
    if len(beats) == 0:
        logger.warning("No beats were found: every %.3f s counts as one (%g a minute)", 60 / tempo_bpm, tempo_bpm)
        beats = np.arange(0, len(recording.mono), 60 / tempo_bpm * TRACKING_RATE)
    return np.rint(beats * (recording.audio.sample_rate / TRACKING_RATE)).astype(np.int64)


def read_beats(path: str | Path, recording: Recording) -> np.ndarray:
    """Read beats: one time in seconds a line, other columns (an Audacity label track has two) left aside.

    For the encodings and separators see `read_rows`.

    Returns:
        int64 samples at the file's rate.

    Raises:
        FormatError: the file is unreadable, a line has no time, times do not rise, or all lie outside the recording.
    """
    rows = read_rows(path)
    # A name over a column of times.
    rows = rows[1:] if is_timed(rows) and not re.search(r"\d", rows[0].text) else rows
    times = np.array([row.seconds(0) for row in rows])
    falls = np.flatnonzero(np.diff(times) <= 0)
    if len(falls):
        raise rows[falls[0] + 1].error("times that rise")
    length_s = recording.n_samples / recording.audio.sample_rate
    if not np.any((times >= 0) & (times < length_s)):
        raise FormatError(path, expected=f"times in the recording's {length_s:.3f} s", found=f"{len(times)} outside")
    return np.rint(times * recording.audio.sample_rate).astype(np.int64)
