"""Audio files decoded from where they lie: of a recording of hours only the block being decoded is in memory."""

from __future__ import annotations

import io
import mmap
import os
from pathlib import Path

from soundgate.audio.containers import ContainerError, Declared, read_container
from soundgate.audio.decoding import (
    MAX_CHANNELS,
    MAX_FILE_BYTES,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    Decoding,
    _Forward,
)
from soundgate.audio.flac import read_flac

# "fLaC", and the head and the 34 bytes of STREAMINFO, which is the first block.
_FLAC_HEAD_BYTES = 42
# Holds the last frame of any FLAC (65,535 samples of 8 channels of 32 bits), and tags behind it.
_FLAC_TAIL_BYTES = 2**21 + 2**16


class MappedDecoding(Decoding):
    """A file of which nothing was decoded yet; a context. What `Decoding` refuses is refused.

    Headers are checked on a memory map. Ogg and MP3, files with tags in front and files whose header has to be put
    right are read into memory, as they lie on the disk.

    Args:
        path: the file.

    Raises:
        ContainerError: see `Decoding`.
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        with open(path, "rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            if size == 0:
                raise ContainerError("empty: 0 bytes")
            if size > MAX_FILE_BYTES:
                raise ContainerError(f"absurd header: {size} bytes, the limit is {MAX_FILE_BYTES}")
            with _Map(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
                found = _in_place(content)
                if found is None:
                    super().__init__(content[:])
                    return
            self._declared, head, end = found
            if self._declared.frames == 0:
                raise ContainerError("empty: 0 sample frames")
            self._lying = _Lying(os.dup(opened.fileno()), head, end)
        try:
            self._file = _Forward(self._lying)
            self._check_format()
        except BaseException:
            self._lying.close()
            raise

    def __exit__(self, *_: object) -> None:
        """Close the decoder and the file."""
        super().__exit__()
        if hasattr(self, "_lying"):
            self._lying.close()

    def _check_format(self) -> None:
        if not MIN_SAMPLE_RATE <= self.sample_rate <= MAX_SAMPLE_RATE:
            raise ContainerError(f"absurd header: sample rate {self.sample_rate} Hz")
        if self.channels > MAX_CHANNELS:
            raise ContainerError(f"absurd header: {self.channels} channels")


class _Map(mmap.mmap):
    """A memory map that is asked like bytes for what it begins with."""

    def startswith(self, prefix: bytes) -> bool:
        """Return whether the content begins with some bytes."""
        return self[: len(prefix)] == prefix


class _Lying(io.RawIOBase):
    """A file on disk up to some byte, with other bytes in place of its first ones.

    Args:
        descriptor: of the file; closed with this.
        head: the first bytes.
        end: how many bytes there are.
    """

    def __init__(self, descriptor: int, head: bytes, end: int) -> None:
        self.descriptor, self.head, self.end, self.position = descriptor, head, end, 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self.position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Seek, or stay where the target lies before the start: libsndfile tries that on odd headers."""
        target = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.end}[whence]
        if target < 0:
            return -1
        self.position = target
        return target

    def readinto(self, buffer) -> int:
        """Read into a buffer, and return how many bytes."""
        wanted = max(0, min(len(buffer), self.end - self.position))
        if self.position < len(self.head):
            found = self.head[self.position : self.position + wanted]
        else:
            found = os.pread(self.descriptor, wanted, self.position)
        buffer[: len(found)] = found
        self.position += len(found)
        return len(found)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self.descriptor)
        super().close()


def _in_place(content: _Map) -> tuple[Declared, bytes, int] | None:
    """Return what a file declares, the bytes to put in place of its first ones, and where it ends.

    None where the file cannot be decoded from where it lies.
    """
    if content.startswith(b"fLaC") and content[4:5] in (b"\x00", b"\x80"):
        # What counts are the first block and the last frame.
        tail = max(_FLAC_HEAD_BYTES, len(content) - _FLAC_TAIL_BYTES)
        ends = content[:_FLAC_HEAD_BYTES] + content[tail:]
        declared, kept = read_flac(ends)
        return declared, kept[:_FLAC_HEAD_BYTES], len(content) - (len(ends) - len(kept))
    found = read_container(content)
    if found is None or found[1] is not content:
        return None
    return found[0], b"", len(content)
