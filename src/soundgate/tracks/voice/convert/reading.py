"""Recordings of any length on their way through a conversion: decoded in blocks, kept on disk at a working rate."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import soxr

from soundgate.audio.containers import ContainerError
from soundgate.audio.decoding import MAX_PEAK, reasons
from soundgate.audio.exact import type_of
from soundgate.audio.mapped import MappedDecoding
from soundgate.audio.programme import full_scale
from soundgate.runtime.errors import AudioError

# Samples from one to another, float32 [t], fewer at the end.
Reader = Callable[[int, int], np.ndarray]


class Spool:
    """Rows of float32 in a temporary file that has no name; a context.

    Args:
        folder: on whose file system it lies.
        channels: values of a row.
    """

    def __init__(self, folder: Path, channels: int) -> None:
        self.folder, self.channels, self._n_rows = folder, channels, 0
        self._file = TemporaryFile(dir=folder)

    def __enter__(self) -> Spool:
        """Return the spool itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the file."""
        self._file.close()

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self._n_rows

    def append(self, rows: np.ndarray) -> None:
        """Add rows [t, C], or [t] of one channel.

        Raises:
            AudioError: the disk is full.
        """
        try:
            self._file.write(np.ascontiguousarray(rows, np.float32).tobytes())
            self._file.flush()
        except OSError as error:
            remedy = "Make room, or write to another disk."
            raise AudioError(
                self.folder, expected="room for a temporary file", found=str(error.strerror), remedy=remedy
            ) from error
        self._n_rows += len(rows)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return rows [stop - start, C], fewer at the end."""
        row_bytes = 4 * self.channels
        start, stop = min(start, self._n_rows), min(stop, self._n_rows)
        content = os.pread(self._file.fileno(), (stop - start) * row_bytes, start * row_bytes)
        return np.frombuffer(content, np.float32).reshape(-1, self.channels)


@dataclass(frozen=True)
class Source:
    """A recording to convert; a context, which removes its samples.

    Args:
        path: of the file.
        sample_rate: of the file, Hz.
        subtype: libsndfile's name of its sample format.
        n_samples: of a channel, at the file's rate.
        note: see `soundgate.audio.io.Audio`.
        samples: at the working rate.
        rate: the working rate, Hz.
        products: float64 [C, C], sums of products of every two channels over all samples.
        clipped: samples at or beyond full scale.
    """

    path: Path
    sample_rate: int
    subtype: str
    n_samples: int
    note: str
    samples: Spool
    rate: int
    products: np.ndarray
    clipped: int

    def __enter__(self) -> Source:
        """Return the source itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the samples."""
        self.samples.__exit__()

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.n_samples / self.sample_rate

    def reader(self, channel: int) -> Reader:
        """Return what reads a channel at the working rate."""
        return lambda start, stop: np.ascontiguousarray(self.samples.read(start, stop)[:, channel])


def open_source(path: str | Path, rate: int, folder: Path) -> Source:
    """Decode a file block by block, and keep it at a working rate (soxr HQ) in a temporary file.

    Args:
        path: the file.
        rate: Hz.
        folder: of the temporary file.

    Raises:
        AudioError: see `soundgate.audio.io.read_audio`, silence among it.
    """
    with reasons(path), MappedDecoding(path) as decoding:
        channels, own_rate = decoding.channels, decoding.sample_rate
        stream = soxr.ResampleStream(own_rate, rate, channels, "float32", quality="HQ")
        products, n_samples, clipped = np.zeros((channels, channels)), 0, 0
        samples = Spool(folder, channels)
        try:
            for block in decoding.blocks(type_of(decoding.subtype)):
                block = full_scale(block).astype(np.float32, copy=False)
                clipped += _check(block)
                products += np.matmul(block.T, block, dtype=np.float64)
                n_samples += len(block)
                samples.append(block if own_rate == rate else stream.resample_chunk(block))
            if own_rate != rate:
                samples.append(stream.resample_chunk(np.zeros((0, channels), np.float32), last=True))
            if not products.any():
                raise ContainerError(f"all zero: {n_samples} sample frames of silence")
        except BaseException:
            samples.__exit__()
            raise
        return Source(
            Path(path), own_rate, decoding.subtype, n_samples, decoding.note, samples, rate, products, clipped
        )


def _check(block: np.ndarray) -> int:
    """Return how many samples are at or beyond full scale; refuse values that are no audio."""
    magnitudes = np.abs(block)
    peak = float(magnitudes.max(initial=0))
    if not np.isfinite(peak):
        raise ContainerError(f"non-finite: {np.sum(~np.isfinite(block))} of {block.size} samples of a block")
    if peak > MAX_PEAK:
        raise ContainerError(f"absurd header: samples reach {peak:g} times full scale")
    return int(np.count_nonzero(magnitudes >= 1 - 2**-15))
