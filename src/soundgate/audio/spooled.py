"""Audio decoded into a temporary file instead of memory: recordings of hours, exact like `soundgate.audio.exact`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import soundfile

from soundgate.audio import io
from soundgate.audio.containers import ContainerError, Declared
from soundgate.audio.exact import BLOCK_FRAMES, ExactAudio, type_of
from soundgate.audio.streams import without_id3
from soundgate.runtime.errors import AudioError


def open_exact(path: str | Path, folder: Path) -> ExactAudio:
    """Decode a file with every bit it has; its samples lie in a temporary file that goes with them.

    What `soundgate.audio.io.read_audio` refuses is refused, silence alone is not.

    Args:
        path: the file.
        folder: where the temporary file is made; it never has a name there.

    Raises:
        AudioError: see `read_audio`.
    """
    path = Path(path)
    try:
        if path.stat().st_size > io.MAX_FILE_BYTES:
            raise ContainerError(f"absurd header: {path.stat().st_size} bytes, the limit is {io.MAX_FILE_BYTES}")
        content = path.read_bytes()
        if not content:
            raise ContainerError("empty: 0 bytes")
        if content.startswith(io._LFS_POINTER):
            raise ContainerError("Git-LFS pointer text in place of the audio")
        with TemporaryFile(dir=folder) as spool:
            return _decoded(*io._inspect(content), spool)
    except soundfile.LibsndfileError as error:
        raise AudioError(path, expected="usable audio", found=f"unreadable: {error.error_string.strip()}") from error
    except OSError as error:
        raise AudioError(path, expected="usable audio", found=f"unreadable: {error.strerror}") from error
    except ContainerError as error:
        remedy = "Run: git lfs pull" if "Git-LFS" in str(error) else ""
        raise AudioError(path, expected="usable audio", found=str(error), remedy=remedy) from error


def spooled(shape: tuple[int, int], dtype: np.dtype, folder: Path) -> np.ndarray:
    """Return an array [C, T] of zeros that lies in a temporary file, interleaved."""
    channels, total = shape
    with TemporaryFile(dir=folder) as file:
        return np.memmap(file, dtype, "w+", shape=(total, channels)).T if total else np.zeros(shape, dtype)


def _decoded(declared: Declared, content: bytes, spool: IO[bytes]) -> ExactAudio:
    """Decode into the open file and map it."""
    with io._Forward(io._Content(content)) as file:
        if not io.MIN_SAMPLE_RATE <= file.samplerate <= io.MAX_SAMPLE_RATE:
            raise ContainerError(f"absurd header: sample rate {file.samplerate} Hz")
        if file.channels > io.MAX_CHANNELS:
            raise ContainerError(f"absurd header: {file.channels} channels")
        if declared.counting_frame and file.frames < declared.frames:
            counted = declared.counting_frame + without_id3(content)
            return _decoded(replace(declared, counting_frame=b""), counted, spool)
        dtype, rate, channels, subtype = type_of(file.subtype), file.samplerate, file.channels, file.subtype
        total, md5 = 0, hashlib.md5(usedforsecurity=False)
        for block in _checked_blocks(file, declared, dtype):
            spool.write(block.tobytes())
            total += len(block)
            if declared.md5:
                md5.update(_as_encoded(block, declared.bits))
    if declared.md5 and md5.digest() != declared.md5:
        raise ContainerError(f"unreadable: samples do not match the FLAC's MD5 at {declared.bits} bits")
    total = _counted(total, declared)
    spool.flush()
    return ExactAudio(np.memmap(spool, dtype, "r", shape=(total, channels)).T, rate, subtype)


def _checked_blocks(file: soundfile.SoundFile, declared: Declared, dtype: str) -> Iterator[np.ndarray]:
    """Yield samples [t, C] until the decoder ends; refuse too many of them, and values that are no audio."""
    limit, total = io.MAX_VALUES // file.channels, 0
    while max(total, declared.frames or 0) <= limit and len(
        block := file.read(BLOCK_FRAMES, dtype=dtype, always_2d=True)
    ):
        peak = max(float(block.max()), -float(block.min())) if block.dtype.kind == "f" else 0.0
        if not np.isfinite(peak):
            raise ContainerError(f"non-finite: {np.sum(~np.isfinite(block))} of {block.size} samples of a block")
        if peak > io.MAX_PEAK:
            raise ContainerError(f"absurd header: samples reach {peak:g} times full scale")
        yield block
        total += len(block)
    if max(total, declared.frames or 0) > limit:
        raise ContainerError(f"absurd header: more than {limit} frames of {file.channels} channels")


def _counted(decoded: int, declared: Declared) -> int:
    """Return the frames the file declares; refuse what decoding did not give or gave beyond reason."""
    if decoded == 0 or declared.frames == 0:
        raise ContainerError("empty: 0 sample frames")
    if declared.frames is None:
        return decoded
    if not declared.frames - declared.shortfall <= decoded <= declared.frames + declared.spare_frames:
        promise = f"{declared.container} declares {declared.frames} sample frames"
        raise ContainerError(f"truncated: {promise}, {decoded} were decoded")
    return min(decoded, declared.frames)


def _as_encoded(block: np.ndarray, bits: int) -> bytes:
    """Return left-aligned int32 as a FLAC's MD5 takes them: little endian, whole bytes (RFC 9639)."""
    values = (block >> (32 - bits)).astype("<i4")
    return np.ascontiguousarray(values.reshape(-1, 1).view(np.uint8)[:, : -(-bits // 8)]).tobytes()
