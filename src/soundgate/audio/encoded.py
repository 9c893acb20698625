"""Audio written lossy (MP3, Vorbis, Opus), or in containers that `soundgate.audio.exact` does not write.

Left out are libsndfile's containers that lose the rate or the sample format of a recording (HTK, IFF/8SVX, MPC 2000,
SDS, WVE, XI), that are two files (Sound Designer II) or have no header (RAW).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from soundgate.audio.exact import BITS, CONTAINERS, ExactAudio, check_container, on_steps
from soundgate.audio.programme import full_scale
from soundgate.runtime.errors import AudioError
from soundgate.runtime.files import atomic_path


class Coding(NamedTuple):
    """A lossy format.

    Args:
        container: libsndfile's name.
        subtype: libsndfile's name of the sample format.
        channels: the most it holds.
        rates: the sample rates that it holds, Hz, rising; none is any up to 192 kHz.
        compression: libsndfile's level, 0 (best) to 1 (smallest).
    """

    container: str
    subtype: str
    channels: int
    rates: tuple[int, ...]
    compression: float

    def rate_of(self, sample_rate: int) -> int:
        """Return the rate that audio is written at: its own, else the next higher one, else the highest."""
        rates = self.rates or (min(sample_rate, _HIGHEST_VORBIS_RATE),)
        return next((rate for rate in rates if rate >= sample_rate), rates[-1])


_HIGHEST_VORBIS_RATE = 192_000
_MP3 = Coding("MP3", "MPEG_LAYER_III", 2, (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000), 0.0)
_VORBIS = Coding("OGG", "VORBIS", 8, (), 0.1)
_OPUS = Coding("OGG", "OPUS", 8, (8000, 12000, 16000, 24000, 48000), 0.1)
CODINGS = {".mp3": _MP3, ".ogg": _VORBIS, ".oga": _VORBIS, ".opus": _OPUS}
# Lossless, with the most channels; libsndfile's name by extension.
OTHERS = {
    ".avr": ("AVR", 2), ".mat": ("MAT5", 64), ".nist": ("NIST", 64), ".paf": ("PAF", 64), ".pvf": ("PVF", 64),
    ".sf": ("IRCAM", 64), ".ircam": ("IRCAM", 64), ".sph": ("NIST", 64), ".voc": ("VOC", 2),
}  # fmt: skip
# libsndfile's Vorbis encoder overflows its stack where it is given many frames at once.
_BLOCK = 2**13


def check_writable(path: str | Path, subtype: str, channels: int) -> None:
    """Check that a file's extension names a format that holds a recording.

    Args:
        path: to write.
        subtype: libsndfile's name of a sample format without loss; for a lossy container any.
        channels: of the recording.

    Raises:
        AudioError: the format does not exist or does not hold it; it says which extensions would do.
    """
    fitting = writable(subtype, channels)
    suffix = Path(path).suffix
    if suffix.lower() not in fitting:
        lossless, lossy = (
            ", ".join(s for s in fitting if s not in CODINGS),
            ", ".join(s for s in fitting if s in CODINGS),
        )
        expected = f"an extension whose container holds {channels} channels of {subtype}: {lossless}"
        expected += f"; or lossy: {lossy}" if lossy else ""
        raise AudioError(path, expected=expected, found=repr(suffix) if suffix else "none")


def writable(subtype: str, channels: int) -> list[str]:
    """Return the extensions of what holds so many channels: lossless with a sample format, or lossy."""
    fitting = []
    for suffix in CONTAINERS:
        try:
            check_container(f"file{suffix}", subtype, channels)
            fitting.append(suffix)
        except AudioError:
            continue
    fitting += [s for s, (kind, most) in OTHERS.items() if channels <= most and soundfile.check_format(kind, subtype)]
    return fitting + [suffix for suffix, coding in CODINGS.items() if channels <= coding.channels]


def write_other(path: str | Path, audio: ExactAudio) -> int:
    """Write audio atomically, block by block, in a format of ``CODINGS`` or ``OTHERS``.

    Args:
        path: its extension names the format.
        audio: samples [C, T], T >= 1; floats beyond full scale are limited.

    Returns:
        The rate it was written at, Hz: another than its own (soxr HQ) where a lossy format does not hold that.

    Raises:
        AudioError: the format does not hold it.
    """
    path = Path(path)
    channels, total = audio.samples.shape
    check_writable(path, audio.subtype, channels)
    coding = CODINGS.get(path.suffix.lower())
    rate = coding.rate_of(audio.sample_rate) if coding else audio.sample_rate
    kind, subtype = coding[:2] if coding else (OTHERS[path.suffix.lower()][0], audio.subtype)
    options = {"format": kind, "closefd": False} | ({"compression_level": coding.compression} if coding else {})
    stream = soxr.ResampleStream(audio.sample_rate, rate, channels, "float32", quality="HQ")
    with (
        atomic_path(path) as temporary,
        open(temporary, "wb") as opened,  # By its descriptor: soundfile takes no path that is not UTF-8.
        soundfile.SoundFile(opened.fileno(), "w", rate, channels, subtype, **options) as file,
    ):
        for first in range(0, total, _BLOCK):
            block = audio.samples[:, first : first + _BLOCK].T
            if coding is None:
                file.write(on_steps(block, BITS.get(subtype, 32)))
                continue
            block = np.asarray(full_scale(block), np.float32)  # Of a memory map too: soxr takes plain arrays alone.
            if rate != audio.sample_rate:
                block = stream.resample_chunk(block, last=first + _BLOCK >= total)
            file.write(np.clip(block, -1, 1))
    return rate
