"""Zip archives from outside, whose directory is weighed before any of it is believed."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path
from typing import IO

from soundgate.corpora.unpacking import Unpacking, refusal
from soundgate.runtime.errors import CorpusError

MAX_DIRECTORY_BYTES = 2**25  # some 250,000 members
# `zipfile` unpacks the others by pieces whose size the archive determines: 4 KB of bzip2 can hold 4 GB.
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflate"}
_HEADER_BYTES = 30  # of a member before its name
_END_BYTES = 22  # of the archive, before its comment


def extract_zip(unpacking: Unpacking) -> None:
    """Unpack a zip archive of stored or deflated members.

    Raises:
        CorpusError: it holds what is not allowed.
        Exception: one of those of `zipfile` and zlib, where it is corrupt.
    """
    archive = unpacking.archive
    with open(archive, "rb") as file, zipfile.ZipFile(_Bounded(archive, file)) as packed:
        members = packed.infolist()
        _require_end(packed, file, archive)
        _require_apart(members, packed.start_dir, archive)
        unpacking.require_room(sum(member.file_size for member in members))
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
            unpacking.require_kind(member.filename, plain, stat.S_ISLNK(kind))
            if member.compress_type not in _METHODS:
                method = zipfile.compressor_names.get(member.compress_type, member.compress_type)
                raise refusal(archive, f"members packed by {' or '.join(_METHODS.values())}", f"one by {method}")
            target = unpacking.add(member.filename, member.file_size, member.is_dir())
            if not member.is_dir():
                with packed.open(member) as content:  # no more than the stated size; checks the CRC at its end
                    unpacking.write(content, target, member.file_size)


class _Bounded:
    """A file that refuses to be read by more than a directory's worth at once."""

    def __init__(self, archive: Path, file: IO[bytes]) -> None:
        self._archive = archive
        self._file = file
        self.seek, self.tell, self.seekable, self.close = file.seek, file.tell, file.seekable, file.close

    def read(self, size: int = MAX_DIRECTORY_BYTES) -> bytes:
        if size > MAX_DIRECTORY_BYTES:
            raise refusal(self._archive, f"a directory of at most {MAX_DIRECTORY_BYTES} bytes", f"one of {size}")
        return self._file.read(size)


def _require_end(packed: zipfile.ZipFile, file: IO[bytes], archive: Path) -> None:
    """Refuse an archive that does not end where it says: `zipfile` searches for its end."""
    length = len(packed.comment)
    file.seek(-_END_BYTES - length, 2)
    end = file.read(_END_BYTES)
    if not end.startswith(b"PK\x05\x06") or int.from_bytes(end[-2:], "little") != length:
        raise CorpusError(archive, expected="a whole zip archive", found="corrupt: its end is elsewhere")


def _require_apart(members: list[zipfile.ZipInfo], directory: int, archive: Path) -> None:
    """Refuse members that share bytes: the same few, unpacked again and again, are any number."""
    ordered = sorted(members, key=lambda member: member.header_offset)
    starts = [member.header_offset for member in ordered[1:]] + [directory]
    for member, following in zip(ordered, starts, strict=True):
        if member.header_offset + _HEADER_BYTES + member.compress_size > following:
            found = f"corrupt: {member.filename[:200]!r} overlaps what follows it"
            raise refusal(archive, "members that stand apart", found)
