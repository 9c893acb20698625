"""Audio files decoded and written with every bit they hold, for edits that must not touch what they keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from soundgate.audio.decoding import BLOCK_FRAMES, Decoding, reasons
from soundgate.audio.io import check_samples
from soundgate.runtime.errors import AudioError
from soundgate.runtime.files import atomic_path

BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}

# What is written, by extension; all of it is read back by `soundgate.audio.io`.
CONTAINERS = {
    ".wav": "WAV", ".wave": "WAV", ".flac": "FLAC", ".aiff": "AIFF", ".aif": "AIFF", ".aifc": "AIFF",
    ".caf": "CAF", ".au": "AU", ".snd": "AU", ".w64": "W64", ".rf64": "RF64",
}  # fmt: skip
_MOST_CHANNELS = {"FLAC": 8}

# The type that holds every value of a sample format; any other format is lossy and decodes to float32.
_TYPES = {
    "PCM_S8": "int32", "PCM_U8": "int32", "PCM_16": "int32", "PCM_24": "int32", "PCM_32": "int32",
    "FLOAT": "float32", "DOUBLE": "float64",
}  # fmt: skip


@dataclass(frozen=True)
class ExactAudio:
    """Decoded audio without a rounded bit.

    Args:
        samples: [C, T]: int32 with an integer format's bits on the left, else float32 or float64.
        sample_rate: in Hz.
        subtype: libsndfile's name of the sample format.
        note: see `soundgate.audio.io.Audio`.
    """

    samples: np.ndarray
    sample_rate: int
    subtype: str
    note: str = ""


def read_exact(path: str | Path) -> ExactAudio:
    """Decode an audio file with every bit it has; what `read_audio` refuses is refused.

    Args:
        path: the file.

    Raises:
        AudioError: see `read_audio`.
    """
    with reasons(path), Decoding.of(path) as decoding:
        samples = np.concatenate(list(decoding.blocks(type_of(decoding.subtype)))).T
        check_samples(samples)
        return ExactAudio(np.ascontiguousarray(samples), decoding.sample_rate, decoding.subtype, decoding.note)


def type_of(subtype: str) -> str:
    """Return the type that holds every value of a sample format; float32 for lossy formats."""
    return _TYPES.get(subtype, "float32")


def check_container(path: str | Path, subtype: str, channels: int = 1) -> str:
    """Return libsndfile's name of the container that a file's extension names.

    Raises:
        AudioError: there is no such container, or it does not hold the sample format without loss, or not as many
            channels; it says which extensions would do.
    """
    if subtype not in _TYPES:
        raise AudioError(path, expected=f"a sample format without loss: {', '.join(_TYPES)}", found=subtype)
    fitting = {
        suffix: kind
        for suffix, kind in CONTAINERS.items()
        if soundfile.check_format(kind, subtype) and channels <= _MOST_CHANNELS.get(kind, channels)
    }
    suffix = Path(path).suffix
    if suffix.lower() not in fitting:
        expected = f"an extension whose container holds {channels} channels of {subtype}: {', '.join(fitting)}"
        raise AudioError(path, expected=expected, found=repr(suffix) if suffix else "none")
    return fitting[suffix.lower()]


def write_exact(path: str | Path, audio: ExactAudio) -> None:
    """Write audio atomically and block by block, so that `read_exact` gives the same samples.

    Integers between the steps of their format, which only computed samples are, are rounded to it.

    Args:
        path: its extension names a container (see ``CONTAINERS``) that holds the sample format.
        audio: samples [C, T], T >= 1.

    Raises:
        AudioError: no such container, one that does not hold the format without loss, or no samples.
    """
    path = Path(path)
    if audio.samples.ndim != 2 or audio.samples.size == 0:
        raise AudioError(path, expected="samples [C, T]", found=f"shape {audio.samples.shape}")
    channels, total = audio.samples.shape
    kind = check_container(path, audio.subtype, channels)
    assert audio.samples.dtype == _TYPES[audio.subtype], audio.samples.dtype
    options = {"format": kind, "closefd": False}
    with (
        atomic_path(path) as temporary,
        open(temporary, "wb") as opened,  # By its descriptor: soundfile takes no path that is not UTF-8.
        soundfile.SoundFile(opened.fileno(), "w", audio.sample_rate, channels, audio.subtype, **options) as file,
    ):
        for first in range(0, total, BLOCK_FRAMES):
            block = audio.samples[:, first : first + BLOCK_FRAMES].T
            file.write(on_steps(block, BITS.get(audio.subtype, 32)))


def on_steps(samples: np.ndarray, bits: int) -> np.ndarray:
    """Round left-aligned integers to the nearest that have only so many bits; the largest is the limit."""
    if bits == 32:
        return samples
    step = 1 << (32 - bits)
    rounded = (samples.astype(np.int64) + step // 2) // step * step
    return np.minimum(rounded, 2**31 - step).astype(np.int32)
