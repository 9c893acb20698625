"""Archives from outside, unpacked whole or not at all, and only inside their folder."""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.files import fsync_folder

MAX_BYTES = 100 * 2**30
MAX_MEMBERS = 1_000_000
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_CORRUPT = (
    tarfile.TarError,
    zipfile.BadZipFile,
    NotImplementedError,  # a compression or encryption that zipfile does not know
    RuntimeError,  # an encrypted member
    EOFError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    ValueError,
)


def unpack(archive: str | Path, folder: str | Path, max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS) -> Path:
    """Unpack a zip or tar archive (plain, gz, bz2 or xz) into a folder that appears when all of it is there.

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
        _extract_any(archive, temporary, max_bytes, max_members)
        os.replace(temporary, folder)
        fsync_folder(folder.parent)
    except _CORRUPT as error:
        raise CorpusError(archive, expected="a whole archive", found=f"corrupt: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _extract_any(archive: Path, folder: Path, max_bytes: int, max_members: int) -> None:
    with open(archive, "rb") as file:
        is_zip = file.read(4) in _ZIP_STARTS
    if is_zip:
        with zipfile.ZipFile(archive) as packed:
            _extract_zip(packed, archive, folder, max_bytes, max_members)
    else:
        with tarfile.open(archive, "r:*") as tar:
            _extract_tar(tar, archive, folder, max_bytes, max_members)
            _check_rest(tar, archive)


def _extract_zip(packed: zipfile.ZipFile, archive: Path, folder: Path, max_bytes: int, max_members: int) -> None:
    total = 0
    for number, member in enumerate(packed.infolist(), 1):
        total += member.file_size
        _check_limits(archive, total, number, max_bytes, max_members)
        kind = stat.S_IFMT(member.external_attr >> 16)
        _check_kind(kind in (0, stat.S_IFREG, stat.S_IFDIR), stat.S_ISLNK(kind), member.filename, archive)
        target = folder / _safe_name(member.filename, archive)
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        with packed.open(member) as source:  # reads no more than the stated size, and checks the CRC at its end
            _write(source, target, member.file_size, member.filename, archive)


def _extract_tar(tar: tarfile.TarFile, archive: Path, folder: Path, max_bytes: int, max_members: int) -> None:
    total = 0
    for number, member in enumerate(tar, 1):
        total += member.size
        _check_limits(archive, total, number, max_bytes, max_members)
        target = folder / _safe_name(member.name, archive)
        _check_kind(member.isreg() or member.isdir(), member.issym() or member.islnk(), member.name, archive)
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        with tar.extractfile(member) as source:
            _write(source, target, member.size, member.name, archive)
        tar.members = []  # the archive is read once, front to back: its members need not be remembered


def _check_limits(archive: Path, total: int, number: int, max_bytes: int, max_members: int) -> None:
    if total > max_bytes or number > max_members:
        limits = f"at most {max_bytes} bytes in {max_members} members"
        raise CorpusError(archive, expected=limits, found=f"{total} bytes at member {number}")


def _check_kind(is_plain: bool, is_link: bool, name: str, archive: Path) -> None:
    if not is_plain:
        kind = "a link" if is_link else "a device or the like"
        raise CorpusError(archive, expected="plain files and folders", found=f"{kind}: {name!r}")


def _write(source: IO[bytes], target: Path, size: int, name: str, archive: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "xb") as file:
        shutil.copyfileobj(source, file, 2**20)
    if target.stat().st_size != size:
        raise CorpusError(archive, expected="a whole archive", found=f"corrupt: {name} is cut")


def _safe_name(name: str, archive: Path) -> PurePosixPath:
    """Return a member's relative path, or refuse one that leads outside."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
        raise CorpusError(archive, expected="paths inside the archive's folder", found=repr(name))
    return path


def _check_rest(tar: tarfile.TarFile, archive: Path) -> None:
    """Read to the end: `tarfile` takes a damaged header for it, and gzip's checksum stands behind it."""
    tar.fileobj.seek(tar.offset)
    while block := tar.fileobj.read(2**20):
        if block.strip(b"\0"):
            found = f"corrupt: data past its end at {tar.offset}"
            raise CorpusError(archive, expected="a whole tar archive", found=found)
