"""Audio decoded into a temporary file instead of memory: recordings of hours, exact like `soundgate.audio.exact`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from soundgate.audio.containers import ContainerError
from soundgate.audio.decoding import MAX_PEAK, reasons
from soundgate.audio.exact import ExactAudio, type_of
from soundgate.audio.mapped import MappedDecoding


def open_exact(path: str | Path, folder: Path) -> ExactAudio:
    """Decode a file with every bit it has; its samples lie in a temporary file that goes with them.

    What `soundgate.audio.io.read_audio` refuses is refused, silence alone is not.

    Args:
        path: the file.
        folder: where the temporary file is made; it never has a name there.

    Raises:
        AudioError: see `read_audio`.
    """
    with reasons(path), MappedDecoding(path) as decoding, TemporaryFile(dir=folder) as spool:
        dtype, total = np.dtype(type_of(decoding.subtype)), 0
        for block in decoding.blocks(dtype.name):
            _check(block)
            spool.write(block.tobytes())
            total += len(block)
        spool.flush()
        samples = np.memmap(spool, dtype, "r", shape=(total, decoding.channels)).T
        return ExactAudio(samples, decoding.sample_rate, decoding.subtype, decoding.note)


def spooled(shape: tuple[int, int], dtype: np.dtype, folder: Path) -> np.ndarray:
    """Return an array [C, T] of zeros that lies in a temporary file, interleaved."""
    channels, total = shape
    with TemporaryFile(dir=folder) as file:
        return np.memmap(file, dtype, "w+", shape=(total, channels)).T if total else np.zeros(shape, dtype)


def _check(block: np.ndarray) -> None:
    """Refuse values that are no audio."""
    peak = max(float(block.max(initial=0)), -float(block.min(initial=0))) if block.dtype.kind == "f" else 0.0
    if not np.isfinite(peak):
        raise ContainerError(f"non-finite: {np.sum(~np.isfinite(block))} of {block.size} samples of a block")
    if peak > MAX_PEAK:
        raise ContainerError(f"absurd header: samples reach {peak:g} times full scale")
