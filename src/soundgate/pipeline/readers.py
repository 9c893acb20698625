"""DVC's list of who reads and writes what, ``.dvc/tmp/rwlock``: what dead processes left in it."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import psutil

from soundgate.runtime.files import write_text

_CLOCK_S = 2.0  # File systems round times, some to so much.


def clear_dead(path: Path, dead: int | None = None) -> None:
    """Take processes that are gone out of the list; one cut short by a process killed while it wrote is begun anew.

    DVC does as much where a number is free again, but waits for a process that has ended and was not collected yet, and
    for ever where the number has come again, as the same small ones do in every container.

    Args:
        path: the list; DVC's own lock must be held, so that nobody else writes it.
        dead: the number of a process that is known to be gone whoever has it now: of one that begins, its own.
    """
    if not path.is_file():
        return
    written = path.stat().st_mtime
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        writers, readers = listed.get("write", {}), listed.get("read", {})
        pids = {one["pid"] for one in chain(writers.values(), *readers.values())}
        lives = {pid: pid != dead and _lives(pid, written) for pid in pids}
    except (ValueError, AttributeError, KeyError, TypeError, OverflowError):
        path.unlink()
        return
    left = {place: [one for one in all_ if lives[one["pid"]]] for place, all_ in readers.items()}
    kept = {
        "write": {place: one for place, one in writers.items() if lives[one["pid"]]},
        "read": {place: ones for place, ones in left.items() if ones},
    }
    if kept != listed:
        write_text(path, json.dumps(kept))


def _lives(pid: int, written: float) -> bool:
    """Return whether a process is at work that can have written its number at a time; none does so before it begins."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= written + _CLOCK_S
    except psutil.NoSuchProcess:
        return False
