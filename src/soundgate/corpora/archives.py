"""Archives from outside, unpacked whole or not at all, and only inside their folder."""

from __future__ import annotations

import errno
import lzma
import os
import shutil
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

from soundgate.corpora.tar_archives import extract_tar
from soundgate.corpora.unpacking import MAX_BYTES, MAX_MEMBERS, Unpacking, no_room
from soundgate.corpora.zip_archives import extract_zip
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.files import fsync_folder

_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
# What `tarfile`, `zipfile` and the packers make of bytes that are none of theirs.
_CORRUPT = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,  # encrypted, or headers without end
    ValueError,
    LookupError,
    ArithmeticError,
)


def unpack(archive: str | Path, folder: str | Path, max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS) -> Path:
    """Unpack a zip or tar archive (plain, gz, bz2 or xz) into a folder that appears when all of it is there.

    It is read as a stream, in less than 0.5 GB of memory whatever it holds. What it may hold is limited in bytes and
    members, by the ratio of both sizes and the room on the disk, see `Unpacking`; headers and directories of an
    unusual size, sparse members, and zip members that overlap or are packed by other means than deflate are refused.

    Args:
        archive: the file.
        folder: created; left alone when it exists, since only a whole archive puts it there.
        max_bytes: all members together may have.
        max_members: the archive may have.

    Returns:
        ``folder``.

    Raises:
        CorpusError: the archive is missing or corrupt, larger than allowed, or holds a path that leads outside, a
            path twice, a link or a device; a `NoRoomError` where the disk has no room for it.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.is_dir():
        return folder
    temporary = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        with open(archive, "rb") as file:
            extract = extract_zip if file.read(4) in _ZIP_STARTS else extract_tar
        extract(Unpacking(archive, temporary, max_bytes, max_members))
        os.replace(temporary, folder)
        fsync_folder(folder.parent)
    except _CORRUPT as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_room(archive, "room for its content", "a full disk") from error
        raise CorpusError(archive, expected="a whole archive", found=f"corrupt: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
