"""Tar archives from outside, read once, front to back, in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO, NoReturn

from soundgate.corpora.unpacking import CHUNK_BYTES, Unpacking, refusal
from soundgate.runtime.errors import CorpusError

MAX_HEADER_BYTES = 2**16  # of one member's extended headers together, and of all global ones
MAX_HEADERS = 8
_XZ_MEMORY_BYTES = 2**27  # `xz -9` needs half of it
_EXTENDED = {
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
}


def extract_tar(unpacking: Unpacking) -> None:
    """Unpack a tar archive, plain or packed by gzip, bzip2 or xz.

    Raises:
        CorpusError: it holds what is not allowed.
        Exception: one of those of `tarfile` and the packers, where it is corrupt.
    """
    archive = unpacking.archive
    with open(archive, "rb") as file, closing(_unpacked(file)) as source:
        # The members' headers, their padding and the end, up to as much again.
        stream = _Forward(archive, source, 2 * unpacking.limit + 2**26)
        try:
            _extract_members(stream, unpacking)
        except _SparseError as error:
            raise refusal(archive, "members stored whole", "a sparse one") from error
        stream.require_end()


def _extract_members(stream: _Forward, unpacking: Unpacking) -> None:
    with tarfile.TarFile(fileobj=stream, mode="r", tarinfo=_Member) as tar:
        while (member := tar.next()) is not None:
            tar.members = []  # read once, front to back: they need not be remembered
            unpacking.require_kind(member.name, member.isreg() or member.isdir(), member.issym() or member.islnk())
            target = unpacking.add(member.name, member.size, member.isdir())
            if not member.isdir():
                with tar.extractfile(member) as content:
                    unpacking.write(content, target, member.size)


class _SparseError(Exception):
    pass


class _Member(tarfile.TarInfo):
    """A member whose headers are weighed before `tarfile` reads them into memory.

    `_proc_member` is where `tarfile` lets a subclass in.
    """

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        stream: _Forward = tar.fileobj
        if self.type not in _EXTENDED:
            stream.extended = []
            return super()._proc_member(tar)
        kept = stream.shared if self.type == tarfile.XGLTYPE else stream.extended
        kept.append(self.size)
        if not 0 <= self.size <= sum(kept) <= MAX_HEADER_BYTES or len(kept) > MAX_HEADERS:
            expected = f"at most {MAX_HEADERS} extended headers of {MAX_HEADER_BYTES} bytes together"
            raise refusal(stream.archive, expected, f"{len(kept)} of {sum(kept)} bytes")
        if self.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE) and re.search(
            rb"\d{100}", stream.peek(self.size)
        ):
            # `tarfile` searches them by a pattern that takes the square of the digits' number.
            raise refusal(stream.archive, "extended headers of short numbers", "100 digits in a row")
        return super()._proc_member(tar)

    def _proc_sparse(self, *_arguments) -> NoReturn:
        """Refuse every form of a sparse member: a few bytes that state any number of zeros."""
        raise _SparseError

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _proc_sparse


class _Forward:
    """The unpacked bytes of an archive as `tarfile` wants them, going forward only, up to a limit."""

    def __init__(self, archive: Path, source: IO[bytes], limit: int) -> None:
        self.archive = archive
        self.extended: list[int] = []  # sizes of the extended headers since the last member
        self.shared: list[int] = []  # of the global ones, which every member keeps
        self._source = source
        self._limit = limit
        self._ahead = b""
        self._position = 0
        self._last = b""

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise tarfile.ReadError("a member that starts before the one ahead of it")
        while self._position < position:
            if not self.read(min(CHUNK_BYTES, position - self._position)):
                raise tarfile.ReadError("unexpected end of data")

    def peek(self, size: int) -> bytes:
        """Return the next bytes, which the next reading gives again."""
        self._ahead += _read_whole(self._source, size - len(self._ahead))
        return self._ahead[:size]

    def read(self, size: int) -> bytes:
        if not 0 <= size <= 4 * CHUNK_BYTES:
            raise refusal(self.archive, f"headers of at most {MAX_HEADER_BYTES} bytes", f"one of {size}")
        self._last, self._ahead = self._ahead[:size], self._ahead[size:]
        self._last += _read_whole(self._source, size - len(self._last))
        self._position += len(self._last)
        if self._position > self._limit:
            raise refusal(self.archive, f"at most {self._limit} bytes, headers and padding too", "more")
        return self._last

    def require_end(self) -> None:
        """Read to the end: `tarfile` takes a damaged header for it, and gzip's checksum stands behind it.

        Raises:
            CorpusError: there is more than zeros.
        """
        start = self._position
        while self._last:
            if self._last.strip(b"\0"):
                found = f"corrupt: data past its end at {start}"
                raise CorpusError(self.archive, expected="a whole tar archive", found=found)
            self.read(CHUNK_BYTES)


class _Decompressed(io.RawIOBase):
    """The content of a bzip2 or xz file, which may consist of several streams, in bounded pieces."""

    def __init__(self, file: IO[bytes], decompressor: Callable) -> None:
        self._file = file
        self._new = decompressor
        self._current = decompressor()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        while True:
            if self._current.eof:
                rest = (self._current.unused_data or self._file.read(CHUNK_BYTES)).lstrip(b"\0")
                if not rest:
                    return 0
                self._current = self._new()
            else:
                rest = self._file.read(CHUNK_BYTES) if self._current.needs_input else b""
                if self._current.needs_input and not rest:
                    raise EOFError("the packed data ends early")
            content = self._current.decompress(rest, len(buffer))
            if content:
                buffer[: len(content)] = content
                return len(content)


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    start = file.read(6)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if start.startswith(b"BZh"):
        return io.BufferedReader(_Decompressed(file, bz2.BZ2Decompressor), CHUNK_BYTES)
    if start == b"\xfd7zXZ\0":
        decompressor = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
        return io.BufferedReader(_Decompressed(file, decompressor), CHUNK_BYTES)
    return file


def _read_whole(source: IO[bytes], size: int) -> bytes:
    """Read ``size`` bytes, fewer only at the end."""
    pieces = []
    while size > 0 and (piece := source.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
