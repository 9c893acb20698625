"""Converted channels brought to the file's rate, kept from clipping, and written in its format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from soundgate.audio.exact import BITS, CONTAINERS, check_container
from soundgate.runtime.files import atomic_path
from soundgate.tracks.voice.convert.reading import Source, Spool

# Nothing is louder, of full scale.
PEAK = 0.99
_BLOCK_S = 10
_LOSSY_INTO = {".flac": "PCM_16"}


class Written(NamedTuple):
    """What was written.

    Args:
        peak: highest magnitude of a sample, of full scale.
        scaled_db: by which all was made quieter so that nothing clips; 0 or below.
    """

    peak: float
    scaled_db: float


def sample_format(source: Source, out: Path) -> str:
    """Return the sample format to write in: the recording's own; of a lossy one FLOAT, in FLAC 16 bit.

    Raises:
        AudioError: the container that the extension names does not hold it, or not as many channels.
    """
    lossless = source.subtype in (*BITS, "FLOAT", "DOUBLE")
    subtype = source.subtype if lossless else _LOSSY_INTO.get(out.suffix.lower(), "FLOAT")
    check_container(out, subtype, source.samples.channels)
    return subtype


def output_suffix(path: Path) -> str:
    """Return the extension that a file's conversion has: its own where that is written, else ``.wav``."""
    return path.suffix if path.suffix.lower() in CONTAINERS else ".wav"


def write_converted(out: Path, source: Source, made: list[tuple[Spool, np.ndarray]], subtype: str) -> Written:
    """Write a conversion atomically, block by block, as long as the recording.

    Where a sample would exceed `PEAK`, all is scaled down by one factor.

    Args:
        out: the file.
        source: what was converted.
        made: converted sounds at the working rate, each with its gain in every channel, float64 [C].
        subtype: from `sample_format`.
    """
    peak = max((float(np.abs(block).max(initial=0)) for block in _blocks(source, made)), default=0.0)
    gain = min(1.0, PEAK / peak) if peak else 1.0
    kind, encode = check_container(out, subtype, source.samples.channels), _encoder(subtype)
    options = {"format": kind, "closefd": False}
    with (
        atomic_path(out) as temporary,
        open(temporary, "wb") as opened,  # By its descriptor: soundfile takes no path that is not UTF-8.
        soundfile.SoundFile(
            opened.fileno(), "w", source.sample_rate, source.samples.channels, subtype, **options
        ) as file,
    ):
        for block in _blocks(source, made):
            file.write(encode(block * np.float32(gain)))
    return Written(gain * peak, 20 * float(np.log10(gain)))


def band_power(made: Spool, rate: int, own_rate: int) -> float:
    """Return the mean square of a sound of one channel, of what of it is heard at a file's rate.

    Args:
        made: at the working rate.
        rate: the working rate, Hz.
        own_rate: of the file, Hz.
    """
    heard, size, energy, count = min(rate, own_rate), _BLOCK_S * rate, 0.0, 0
    stream = soxr.ResampleStream(rate, heard, 1, "float32", quality="HQ")
    for first in range(0, len(made), size):
        block = made.read(first, first + size)
        if heard != rate:
            block = stream.resample_chunk(block, last=first + size >= len(made))
        energy, count = energy + float(np.square(block, dtype=np.float64).sum()), count + len(block)
    return energy / max(count, 1)


def _blocks(source: Source, made: list[tuple[Spool, np.ndarray]]) -> Iterator[np.ndarray]:
    """Yield the channels at the file's rate, float32 [t, C], in all as many samples as the file has."""
    rate, own_rate, channels = source.rate, source.sample_rate, source.samples.channels
    stream = soxr.ResampleStream(rate, own_rate, channels, "float32", quality="HQ")
    left, total, size = source.n_samples, len(source.samples), _BLOCK_S * rate
    for first in range(0, total, size):
        block = np.zeros((min(size, total - first), channels), np.float32)
        for spool, gains in made:
            block += spool.read(first, first + size) * gains.astype(np.float32)
        if rate != own_rate:
            block = stream.resample_chunk(block, last=first + size >= total)
        yield block[:left]
        left -= min(left, len(block))
    if left:
        yield np.zeros((left, channels), np.float32)


def _encoder(subtype: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return what makes samples of floats: left-aligned int32 for integer formats."""
    if subtype not in BITS:
        return lambda block: block
    bits = BITS[subtype]
    full = 2 ** (bits - 1)

    def encode(block: np.ndarray) -> np.ndarray:
        values = np.clip(np.rint(block.astype(np.float64) * full), -full, full - 1)
        return values.astype(np.int64).astype(np.int32) << (32 - bits)

    return encode
