"""Gives every process a folder of its own for what numba compiles."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from glob import escape
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import IO

try:
    import fcntl
except ImportError:  # Not on Windows, where numba's own folder is used.
    fcntl = None

VARIABLE = "NUMBA_CACHE_DIR"
_UFUNC = "guf-"


def claim_cache() -> IO | None:
    """Take a folder that no other process uses, and name it in ``NUMBA_CACHE_DIR``.

    Two processes that compile one function for different types at once leave an index that names the one's code for
    the other's types, and whoever loads it crashes. So the first process has folder ``0``, one beside it ``1``, ...;
    what they compile is kept for the next, and a new folder begins with what another has. Where there is no home to
    write to, the folders are below the one for temporary files. A folder that the user names, or numba loaded before,
    is left as it is.

    Returns:
        What holds the folder while it is open; None where numba's own is used.
    """
    private = Path(os.environ.get("TMPDIR") or "/tmp") / f"soundgate-{os.getuid()}"
    roots = [_below_home(), private / "numba"]
    named = os.environ.get(VARIABLE)
    if fcntl is None or "numba" in sys.modules or (named and Path(named).parent not in roots):
        return None
    for root in roots:
        try:
            if root.parent == private:
                _make_private(private)
                os.environ.setdefault("MPLCONFIGDIR", str(private / "matplotlib"))
            lock, folder = _claim(root)
        except OSError:  # Nowhere to write to, or a file system without locks.
            continue
        os.environ[VARIABLE] = str(folder)
        return lock
    os.environ.pop(VARIABLE, None)
    sys.excepthook = _explain
    return None


def _explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say in one line what numba wants where its own folders, in the environment, cannot be written to either."""
    if "no locator available" in str(error):
        print(f"numba has no folder for what it compiles. Name one that can be written to: {VARIABLE}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _below_home() -> Path:
    home = os.path.expanduser("~")  # Stays as it is where this user has none.
    return Path(os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache") / "soundgate" / "numba"


def _make_private(folder: Path) -> None:
    """Make a folder that no other user can write to: code is loaded from it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder}: not a folder of this user alone")


def _claim(root: Path) -> tuple[IO, Path]:
    """Return the first folder in ``root`` that no other process uses, and what holds it."""
    if not root.is_absolute():
        raise FileNotFoundError(f"{root}: no home")
    root.mkdir(parents=True, exist_ok=True)
    for number in count():
        lock = (root / f"{number}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        folder = root / str(number)
        _begin(folder)
        return lock, folder


def _begin(folder: Path) -> None:
    """Give a folder the functions that the fullest beside it has and it has not: compiling takes a minute.

    That one may be in use: numba replaces files whole and names no file twice, so a copy holds only what is right. A
    function's index, which names its code, is read before the code is copied and written last.

    A generalised ufunc has two indices, its own and its kernel's, and the first calls the second by a name that another
    process gives otherwise. So both come from one folder or none does; the ufunc's, which numba writes after the
    kernel's, is read first, so that no ufunc is without its kernel.
    """
    folder.mkdir(exist_ok=True)
    folders = [path for path in folder.parent.iterdir() if path.is_dir() and path.name.isdigit()]
    compiled = {path: sorted(path.rglob("*.nbi")) for path in folders}
    fullest = max(folders, key=lambda path: len(compiled[path]))
    for kernel in compiled[fullest]:
        if kernel.name.startswith(_UFUNC):
            continue
        ufunc = kernel.with_name(_UFUNC + kernel.name)
        indices = [ufunc, kernel] if ufunc in compiled[fullest] else [kernel]
        here = folder / kernel.parent.relative_to(fullest)
        if not (here / kernel.name).exists() and not (here / ufunc.name).exists():
            _copy_function(indices, here)


def _copy_function(indices: list[Path], folder: Path) -> None:
    """Copy what was compiled of a function; nothing if it is replaced meanwhile (it is compiled anew)."""
    unfinished = [folder / f"{index.name}.copying" for index in indices]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index, copy in zip(indices, unfinished, strict=True):
            shutil.copyfile(index, copy)
        for index in indices:
            for code in index.parent.glob(f"{escape(index.stem)}.*.nbc"):
                shutil.copyfile(code, folder / code.name)
    except FileNotFoundError:
        return
    # The kernel's first: a ufunc can be compiled for a kernel that is there, the reverse is not so.
    for copy in reversed(unfinished):
        copy.replace(copy.with_suffix(""))
