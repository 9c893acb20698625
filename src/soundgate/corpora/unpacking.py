"""What an archive may be unpacked into: how much, how many, and under which names."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path, PurePosixPath
from typing import IO

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.files import free_bytes

MAX_BYTES = 100 * 2**30
MAX_MEMBERS = 1_000_000
MAX_RATIO = 100  # unpacked bytes to packed ones; audio has 1 to 3, silence a thousand
ANY_RATIO_BYTES = 2**26  # that so little may have
MAX_DEPTH = 32
MAX_PATH_BYTES = 1024
CHUNK_BYTES = 2**18
_BLOCK_BYTES = 4096  # of a file system: the least a file takes
_REMEDY = "Do not use it; if you trust it, unpack it yourself and set source to folder."


class NoRoomError(CorpusError):
    """An archive that the disk has no room for, whatever is in it."""


def refusal(archive: Path, expected: str, found: str) -> CorpusError:
    """Return the error that says what an archive should not hold."""
    return CorpusError(archive, expected=expected, found=found, remedy=_REMEDY)


def no_room(archive: Path, expected: str, found: str) -> NoRoomError:
    """Return the error that says what the disk has no room for."""
    remedy = "Make room, or set SOUNDGATE_SCRATCH to a folder that has it."
    return NoRoomError(archive, expected=expected, found=found, remedy=remedy)


class Unpacking:
    """One archive on its way into one folder: every member is announced here before it is written.

    Args:
        archive: the file.
        folder: where its members go; exists and is empty.
        max_bytes: all members together may have.
        max_members: files and folders there may be.

    Attributes:
        limit: bytes that all members together may have: the smallest of ``max_bytes``, ``MAX_RATIO`` times the
            archive's own (or ``ANY_RATIO_BYTES``, if that is more).
    """

    def __init__(self, archive: Path, folder: Path, max_bytes: int, max_members: int) -> None:
        self.archive = archive
        self.folder = folder
        self.max_members = max_members
        self.limit = min(max_bytes, max(ANY_RATIO_BYTES, MAX_RATIO * archive.stat().st_size))
        self._total = 0
        self._number = 0
        # Hashes of folded names, and of folders' names as they are: a million take 0.1 GB, the names 2 GB.
        self._files: set[int] = set()
        self._folders: dict[int, int] = {}

    def add(self, name: str, size: int, is_folder: bool) -> Path:
        """Take up the next member and return where it goes.

        Args:
            name: as the archive has it.
            size: its bytes when unpacked, as the archive states them.
            is_folder: it is one.

        Raises:
            CorpusError: it is one too many, too large, or its name leads outside, is too long, or is that of
                another member (letter case and the ways of writing an accent do not count).
            NoRoomError: see `require_room`.
        """
        self._number += 1
        self._total += size
        if size < 0 or self._total > self.limit or self._number > self.max_members:
            expected = f"at most {self.limit} bytes in {self.max_members} members"
            raise refusal(self.archive, expected, f"{self._total} bytes at member {self._number}")
        self.require_room(size)
        path = self._safe_path(name)
        target = self.folder / path
        if self._claim(path, is_folder):
            (target if is_folder else target.parent).mkdir(parents=True, exist_ok=True)
        return target

    def require_room(self, size: int) -> None:
        """Refuse ``size`` bytes that the file system has no room for.

        Raises:
            NoRoomError: it has not.
        """
        free = free_bytes(self.folder)
        if max(size, _BLOCK_BYTES) > free:
            raise no_room(self.archive, f"room for {size} bytes", f"{free} free")

    def write(self, source: IO[bytes], target: Path, size: int) -> None:
        """Write one member's content, whose stated size `add` has let pass.

        Raises:
            CorpusError: the content is shorter.
        """
        with open(target, "xb") as file:
            shutil.copyfileobj(source, file, CHUNK_BYTES)
        if target.stat().st_size != size:
            found = f"corrupt: {target.relative_to(self.folder)} is cut"
            raise CorpusError(self.archive, expected="a whole archive", found=found)

    def require_kind(self, name: str, is_plain: bool, is_link: bool) -> None:
        """Refuse what is neither a plain file nor a folder.

        Raises:
            CorpusError: it is a link, a device or the like.
        """
        if not is_plain:
            kind = "a link" if is_link else "a device or the like"
            raise refusal(self.archive, "plain files and folders", f"{kind}: {name[:200]!r}")

    def _safe_path(self, name: str) -> PurePosixPath:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
            raise refusal(self.archive, "paths inside the archive's folder", repr(name[:200]))
        too_long = len(name.encode("utf-8", "surrogateescape")) > MAX_PATH_BYTES
        if too_long or len(path.parts) > MAX_DEPTH:
            expected = f"paths of at most {MAX_PATH_BYTES} bytes and {MAX_DEPTH} folders"
            raise refusal(self.archive, expected, f"{name[:60]!r}... of {len(name)} letters, {len(path.parts)} folders")
        return path

    def _claim(self, path: PurePosixPath, is_folder: bool) -> bool:
        """Refuse a path that another member has, here or on a file system that does not tell letter case.

        Returns:
            Whether it needs a folder that no other member needed.
        """
        before = len(self._folders)
        for folder in (path, *path.parents)[not is_folder : -1]:
            key, exact = _key(folder), hash(folder)
            if self._folders.get(key) == exact:
                break  # and so are those it is in
            if key in self._files or key in self._folders:
                raise self._taken(folder)
            self._folders[key] = exact
        if len(self._folders) > self.max_members:
            raise refusal(self.archive, f"at most {self.max_members} folders", f"more at member {self._number}")
        if not is_folder:
            key = _key(path)
            if key in self._folders or key in self._files:
                raise self._taken(path)
            self._files.add(key)
        return len(self._folders) > before

    def _taken(self, path: PurePosixPath) -> CorpusError:
        expected = "each path once, whatever its letter case"
        return refusal(self.archive, expected, f"corrupt: {str(path)!r} exists already")


def _key(path: PurePosixPath) -> int:
    return hash(unicodedata.normalize("NFC", str(path).casefold()))
