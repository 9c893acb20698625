"""How long a recording may be, said before anything that takes time is imported or read."""

from __future__ import annotations

from pathlib import Path

import soundfile

from soundgate.audio.decoding import MAX_VALUES
from soundgate.runtime.errors import AudioError

# Of the frames and beats of so long a recording, and of its mono mix, there is room in 8 GB of memory.
MAX_S = 4 * 3_600


def check_length(path: Path) -> None:
    """Check by its header alone that a recording is not too long to be edited.

    What is no audio, and what does not say how long it is, is left to its reader.

    Args:
        path: the recording.

    Raises:
        AudioError: it is too long; it says how long it may be.
    """
    try:
        # By its descriptor: soundfile takes no path that is not UTF-8.
        with open(path, "rb") as opened, soundfile.SoundFile(opened.fileno(), closefd=False) as file:
            frames, channels, rate = file.frames, file.channels, file.samplerate
    except (OSError, soundfile.SoundFileError):
        return
    limit_s = min(MAX_S, MAX_VALUES / (channels * rate))
    if frames > limit_s * rate:
        longest = f"at most {_hours(limit_s)} of {channels} channels at {rate} Hz"
        expected = f"{longest} ({MAX_S // 3600} h, and {MAX_VALUES} samples in all)"
        raise AudioError(path, expected=expected, found=_hours(frames / rate), remedy="Edit it in parts.")


def _hours(seconds: float) -> str:
    """Return a time as hours, minutes and seconds, rounded down."""
    minutes, whole = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{whole:02d} h"
