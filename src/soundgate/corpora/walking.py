"""Every file below a folder: audio, what is not used and why, and what is plainly no audio."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from soundgate.corpora.file_types import EXTENSIONS, is_no_audio, why_not_read
from soundgate.runtime.paths import path_to_text

_KINDS = {
    stat.S_IFIFO: "a named pipe, not a file",
    stat.S_IFSOCK: "a socket, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
}

_MACOS = (".DS_Store", "._", ".Spotlight-", ".Trashes", ".fseventsd")


class Refused(NamedTuple):
    """A file that is not used.

    Args:
        path: of the file.
        reason: why not.
    """

    path: Path
    reason: str


class Found(NamedTuple):
    """One entry of a folder that is no folder itself.

    Args:
        path: relative to the root of the walk.
        status: of the file, links followed; None where it cannot be opened as a file.
        problem: why it cannot be; empty where it can.
    """

    path: Path
    status: os.stat_result | None
    problem: str


@dataclass
class Files:
    """The files of a folder.

    Attributes:
        root: the folder.
        audio: to be read, relative to ``root``, sorted.
        refused: what is not used and why, relative to ``root``, sorted.
        no_audio: how many files are plainly no audio, by extension.
        hidden: files and folders that are skipped because they are hidden, but for what macOS leaves everywhere.
    """

    root: Path
    audio: list[Path] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    no_audio: Counter[str] = field(default_factory=Counter)
    hidden: list[Path] = field(default_factory=list)


def find_files(
    root: str | Path, extensions: frozenset[str] = EXTENSIONS, wanted: Callable[[Path], bool] = lambda path: True
) -> Files:
    """Sort the files below a folder into audio, refused, and no audio; nothing is opened.

    Args:
        root: searched to any depth, links followed, each folder once; hidden files and folders are skipped.
        extensions: of audio, in lower case, with their dots.
        wanted: which paths, relative to the root, are looked at.
    """
    files = Files(Path(root))
    for path, status, problem in walk(files.root, files.hidden):
        if not wanted(path):
            continue
        if is_no_audio(path, status is not None):
            files.no_audio[path.suffix.lower() or path.name] += 1
        elif status is None:
            files.refused.append(Refused(path, problem))
        elif path.suffix.lower() in extensions:
            files.audio.append(path)
        else:
            files.refused.append(Refused(path, why_not_read(path)))
    files.audio.sort()
    files.refused.sort()
    return files


def walk(root: Path, hidden: list[Path] | None = None) -> Iterator[Found]:
    """Yield everything below a folder that is no folder, in a fixed order; see `find_files`.

    Args:
        root: the folder.
        hidden: gets what is skipped as hidden.
    """
    waiting, seen = [Path()], set()
    while waiting:
        below = waiting.pop()
        try:
            status = os.stat(root / below)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            found = sorted(os.listdir(root / below))
        except OSError as error:
            yield Found(below, None, f"a folder that cannot be read: {error.strerror}")
            continue
        folders = []
        if hidden is not None:
            hidden += [below / name for name in found if name.startswith(".") and not name.startswith(_MACOS)]
        for name in (name for name in found if not name.startswith(".")):
            status, problem = _status(root / below / name)
            if status is not None and stat.S_ISDIR(status.st_mode):
                folders.append(below / name)
            else:
                yield Found(below / name, status, problem)
        waiting += reversed(folders)


def _status(path: Path) -> tuple[os.stat_result | None, str]:
    """Return what a path leads to, or why it is no file that can be opened."""
    try:
        status = os.stat(path)
    except OSError as error:
        return None, _broken(path, error)
    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
        return status, ""
    return None, _KINDS.get(stat.S_IFMT(status.st_mode), "not a file")


def _broken(path: Path, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "no such file: a link that leads to itself"
    if path.is_symlink() and error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"no such file: a link to {path_to_text(os.readlink(path))}"
    return f"unreadable: {error.strerror}"
