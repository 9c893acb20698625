"""A recording worked on in windows of one length that overlap, as models want it, at another rate and in mono."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import gettempdir
from typing import NamedTuple

import numpy as np
import soxr

from soundgate.audio.spooled import spooled
from soundgate.tracks.transfer.transferring.mosaic import hear, hop_samples
from soundgate.tracks.transfer.transferring.recordings import BLOCK, Recording


class Windows(NamedTuple):
    """How a recording is cut.

    Args:
        rate: Hz that is worked at.
        size: samples of a window.
        overlap: samples that it has in common with the next.
        coherent: whether the same waves come out of both where they overlap; else they are faded at equal power.
    """

    rate: int
    size: int
    overlap: int
    coherent: bool


def in_windows(
    source: Recording, windows: Windows, make: Callable[[np.ndarray], np.ndarray], block: int = BLOCK
) -> Iterator[np.ndarray]:
    """Work on the mean of a recording's channels, and give each channel its share of the level back.

    Args:
        source: the recording.
        windows: see `Windows`.
        make: of float32 [size] at ``windows.rate`` as many samples.
        block: samples that are read at once; no result depends on it.

    Yields:
        float32 [t, C] at the recording's rate, in all as long as it is.
    """
    shares, left = _shares(source, block), len(source)
    stream, first = soxr.ResampleStream(windows.rate, source.rate, 1, "float32", quality="HQ"), 0
    for made, ends in _overlapped(_mono(source, windows.rate, block), windows, make):
        if windows.rate != source.rate:
            made = stream.resample_chunk(made[:, None], last=ends)[:, 0]
        made = made[:left]
        if len(made):
            yield made[:, None] * shares(first, first + len(made))
        first, left = first + len(made), left - len(made)
    if left:
        yield np.zeros((left, source.channels), np.float32)


def _mono(source: Recording, rate: int, block: int) -> np.ndarray:
    """Return the mean of the channels at a rate, float32 [T], in a temporary file."""
    length, filled = -(-len(source) * rate // source.rate), 0
    mono = spooled((1, length), np.dtype(np.float32), Path(gettempdir()))[0]
    stream = soxr.ResampleStream(source.rate, rate, 1, "float32", quality="HQ")
    for number, own in enumerate(source.blocks(block), 1):
        mean = own.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
        if rate != source.rate:
            mean = stream.resample_chunk(mean, last=number * block >= len(source))
        mean = mean[: length - filled, 0]
        mono[filled : filled + len(mean)] = mean
        filled += len(mean)
    return mono


def _overlapped(
    mono: np.ndarray, windows: Windows, make: Callable[[np.ndarray], np.ndarray]
) -> Iterator[tuple[np.ndarray, bool]]:
    """Yield what is made, window by window, faded into one another, and whether it is the end."""
    step, overlap = windows.size - windows.overlap, windows.overlap
    rise = (np.arange(overlap, dtype=np.float32) + 0.5) / overlap
    rise, fall = (rise, 1 - rise) if windows.coherent else (np.sin(np.pi / 2 * rise), np.cos(np.pi / 2 * rise))
    before = None
    for first in range(0, max(1, len(mono) - overlap), step):
        wav = np.array(mono[first : first + windows.size])
        made = np.zeros(windows.size, np.float32)
        if wav.any():
            made = np.array(make(np.pad(wav, (0, windows.size - len(wav)))), np.float32)
        if before is not None:
            made[:overlap] = made[:overlap] * rise + before * fall
        ends = first + step >= len(mono) - overlap
        yield (made[: len(wav)] if ends else made[:step]), ends
        before = made[step:]


def _shares(source: Recording, block: int) -> Callable[[int, int], np.ndarray]:
    """Return what gives each channel's level over that of the mean power of all, float32 [t, C], between samples."""
    hop = hop_samples(source.rate)
    rms = hear(source.blocks(block), source.rate).rms
    together = np.sqrt(np.square(rms).mean(axis=1, keepdims=True))
    shares = np.where(together > 1e-6, rms / np.maximum(together, 1e-6), 1.0)
    times = np.arange(len(shares)) * hop

    def between(start: int, stop: int) -> np.ndarray:
        at = np.arange(start, stop)
        return np.stack([np.interp(at, times, own) for own in shares.T], axis=1).astype(np.float32)

    return between
