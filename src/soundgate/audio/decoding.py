"""An audio file being decoded front to back, block by block, each claim of its header held against what comes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from soundgate.audio.containers import ContainerError, Declared, read_container
from soundgate.audio.foreign import foreign_kind
from soundgate.audio.streams import read_stream, without_id3
from soundgate.runtime.errors import AudioError

MIN_SAMPLE_RATE = 4_000
MAX_SAMPLE_RATE = 384_000
MAX_CHANNELS = 64
MAX_FILE_BYTES = 2**32
MAX_VALUES = 2**29  # samples x channels: 2 GiB as float32, 6 hours of mono at 24 kHz
MAX_PEAK = 64.0  # float files stored at integer scale lie far above, any overshoot of a lossy codec far below
BLOCK_FRAMES = 2**18
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


@contextmanager
def reasons(path: str | Path) -> Iterator[None]:
    """Turn whatever reading a file raises into an `AudioError` that gives the reason in ``found``."""
    try:
        yield
    except soundfile.LibsndfileError as error:
        raise AudioError(path, expected="usable audio", found=f"unreadable: {error.error_string.strip()}") from error
    except OSError as error:
        raise AudioError(path, expected="usable audio", found=f"unreadable: {error.strerror}") from error
    except ContainerError as error:
        remedy = "Run: git lfs pull" if "Git-LFS" in str(error) else ""
        raise AudioError(path, expected="usable audio", found=str(error), remedy=remedy) from error


class Decoding:
    """A file of which nothing was decoded yet; a context, which closes the decoder.

    Args:
        content: the whole file.

    Raises:
        ContainerError: the file is empty, no audio, damaged, or says absurd things of itself.
    """

    def __init__(self, content: bytes) -> None:
        if not content:
            raise ContainerError("empty: 0 bytes")
        if content.startswith(_LFS_POINTER):
            raise ContainerError("Git-LFS pointer text in place of the audio")
        self._declared, content = _inspect(content)
        if self._declared.frames == 0:
            raise ContainerError("empty: 0 sample frames")
        self._file = _opened(content, self._declared)

    @classmethod
    def of(cls, path: str | Path) -> Decoding:
        """Return the decoding of a file, whose name and extension play no part."""
        size = Path(path).stat().st_size
        if size > MAX_FILE_BYTES:
            raise ContainerError(f"absurd header: {size} bytes, the limit is {MAX_FILE_BYTES}")
        return cls(Path(path).read_bytes())

    def __enter__(self) -> Decoding:
        """Return the decoding itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the decoder."""
        self._file.close()

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self._file.samplerate

    @property
    def channels(self) -> int:
        """Channels."""
        return self._file.channels

    @property
    def subtype(self) -> str:
        """libsndfile's name of the sample format."""
        return self._file.subtype

    @property
    def note(self) -> str:
        """What is wrong with the header or the end, and what is read; empty where nothing is."""
        return self._declared.note

    def floats(self) -> np.ndarray:
        """Decode everything, float32 [C, T] at full scale 1."""
        frames = np.concatenate(list(self.blocks("int32" if self._declared.md5 else "float32")))
        if frames.dtype == np.int32:
            frames = frames.astype(np.float32) * np.float32(2.0**-31)
        return np.ascontiguousarray(frames.T)

    def blocks(self, dtype: str) -> Iterator[np.ndarray]:
        """Decode until the decoder ends, never trusting a header's count with memory.

        Args:
            dtype: of the samples; a FLAC's MD5 is checked where it is int32 (bits on the left).

        Yields:
            [t, C], in all as many frames as the file declares.

        Raises:
            ContainerError: it gives more or fewer than it declares, other samples, or none.
        """
        declared, limit, total = self._declared, MAX_VALUES // self.channels, 0
        if (declared.frames or 0) > limit:
            raise ContainerError(f"absurd header: {declared.frames} frames of {self.channels} channels")
        md5 = hashlib.md5(usedforsecurity=False) if declared.md5 and dtype == "int32" else None
        while len(block := self._file.read(BLOCK_FRAMES, dtype=dtype, always_2d=True)):
            wanted = len(block) if declared.frames is None else max(declared.frames - total, 0)
            total += len(block)
            if total > limit:
                raise ContainerError(f"absurd header: more than {limit} frames of {self.channels} channels")
            if md5:
                md5.update(_as_encoded(block, declared.bits))
            yield block[:wanted]
        if total == 0:
            raise ContainerError("empty: 0 sample frames")
        _check_count(total, declared)
        if md5 and md5.digest() != declared.md5:
            raise ContainerError(f"unreadable: samples do not match the FLAC's MD5 at {declared.bits} bits")


class _Content(io.BytesIO):
    """Bytes whose impossible seeks, which libsndfile tries on odd headers, fail as a file's would."""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek, or stay where the target lies before the start."""
        try:
            return super().seek(offset, whence)
        except ValueError:
            return -1


class _Forward(soundfile.SoundFile):
    """A file read front to back: soundfile's seek after each block would disturb lossy decoders."""

    def seekable(self) -> bool:
        """Say no, whatever libsndfile could do."""
        return False


def _inspect(content: bytes) -> tuple[Declared, bytes]:
    found = read_container(content)
    if found is None:
        found = read_stream(without_id3(content))
    if found is None:
        raise ContainerError(f"unreadable: {foreign_kind(without_id3(content))}")
    return found


def _opened(content: bytes, declared: Declared) -> _Forward:
    """Open the decoder; refuse what no recording has."""
    file = _Forward(_Content(content))
    try:
        if not MIN_SAMPLE_RATE <= file.samplerate <= MAX_SAMPLE_RATE:
            raise ContainerError(f"absurd header: sample rate {file.samplerate} Hz")
        if file.channels > MAX_CHANNELS:
            raise ContainerError(f"absurd header: {file.channels} channels")
        if not (declared.counting_frame and file.frames < declared.frames):
            return file
    except ContainerError:
        file.close()
        raise
    file.close()
    return _opened(declared.counting_frame + content, replace(declared, counting_frame=b""))


def _check_count(total: int, declared: Declared) -> None:
    """Refuse what decoding did not give or gave beyond reason."""
    if declared.frames is None:
        return
    if not declared.frames - declared.shortfall <= total <= declared.frames + declared.spare_frames:
        kind = "truncated" if total < declared.frames else "damaged"
        promise = f"{declared.container} declares {declared.frames} sample frames"
        raise ContainerError(f"{kind}: {promise}, {total} were decoded")


def _as_encoded(block: np.ndarray, bits: int) -> bytes:
    """Return left-aligned int32 as a FLAC's MD5 takes them: little endian, whole bytes (RFC 9639)."""
    values = (block >> (32 - bits)).astype("<i4")
    return np.ascontiguousarray(values.reshape(-1, 1).view(np.uint8)[:, : -(-bits // 8)]).tobytes()
