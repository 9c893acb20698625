"""DVC's list of who reads and writes what, ``.dvc/tmp/rwlock``: what dead processes left in it."""

from __future__ import annotations

import json
from pathlib import Path

import psutil

from soundgate.runtime.files import write_text


def clear_dead(path: Path) -> None:
    """Take processes that are gone out of the list; one cut short by a process killed while it wrote is begun anew.

    DVC does as much where a number is free again, but waits for a process that has ended and was not collected yet.

    Args:
        path: the list; DVC's own lock must be held, so that nobody else writes it.
    """
    if not path.is_file():
        return
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        writers = {place: one for place, one in listed.get("write", {}).items() if _lives(one["pid"])}
        readers = {place: [one for one in all_ if _lives(one["pid"])] for place, all_ in listed.get("read", {}).items()}
    except (ValueError, AttributeError, KeyError, TypeError):
        path.unlink()
        return
    kept = {"write": writers, "read": {place: left for place, left in readers.items() if left}}
    if kept != listed:
        write_text(path, json.dumps(kept))


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
