"""Archives from outside, unpacked whole or not at all, and only inside their folder."""

from __future__ import annotations

import lzma
import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from soundgate.errors import CorpusError
from soundgate.files import fsync_folder

MAX_BYTES = 100 * 2**30
MAX_MEMBERS = 1_000_000
_CORRUPT = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError)


def unpack(archive: str | Path, folder: str | Path, max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS) -> Path:
    """Unpack a tar archive (plain, gz, bz2 or xz) into a folder that appears when all of it is there.

    Args:
        archive: the file.
        folder: created; left alone when it exists, since only a whole archive puts it there.
        max_bytes: all members together may have.
        max_members: the archive may have.

    Returns:
        ``folder``.

    Raises:
        CorpusError: the archive is missing or corrupt, larger than allowed, or holds a path that leads
            outside, a path twice, a link or a device.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.is_dir():
        return folder
    temporary = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        with tarfile.open(archive, "r:*") as tar:
            _extract(tar, archive, temporary, max_bytes, max_members)
            _check_rest(tar, archive)
        os.replace(temporary, folder)
        fsync_folder(folder.parent)
    except _CORRUPT as error:
        raise CorpusError(archive, expected="a whole tar archive", found=f"corrupt: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _extract(tar: tarfile.TarFile, archive: Path, folder: Path, max_bytes: int, max_members: int) -> None:
    total = 0
    for number, member in enumerate(tar, 1):
        total += member.size
        if total > max_bytes or number > max_members:
            limits = f"at most {max_bytes} bytes in {max_members} members"
            raise CorpusError(archive, expected=limits, found=f"{total} bytes at member {number}")
        target = folder / _safe_name(member, archive)
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with tar.extractfile(member) as source, open(target, "xb") as file:
            shutil.copyfileobj(source, file, 2**20)
        if target.stat().st_size != member.size:
            raise CorpusError(archive, expected="a whole tar archive", found=f"corrupt: {member.name} is cut")
        tar.members = []  # the archive is read once, front to back: its members need not be remembered


def _safe_name(member: tarfile.TarInfo, archive: Path) -> PurePosixPath:
    """Return a member's relative path, or refuse what must not be unpacked."""
    name = PurePosixPath(member.name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or (name.parts and ":" in name.parts[0]):
        raise CorpusError(archive, expected="paths inside the archive's folder", found=repr(member.name))
    if not (member.isreg() or member.isdir()):
        kind = "a link" if member.issym() or member.islnk() else "a device or the like"
        raise CorpusError(archive, expected="plain files and folders", found=f"{kind}: {member.name!r}")
    return name


def _check_rest(tar: tarfile.TarFile, archive: Path) -> None:
    """Read to the end: `tarfile` takes a damaged header for it, and gzip's checksum stands behind it."""
    tar.fileobj.seek(tar.offset)
    while block := tar.fileobj.read(2**20):
        if block.strip(b"\0"):
            found = f"corrupt: data past its end at {tar.offset}"
            raise CorpusError(archive, expected="a whole tar archive", found=found)
