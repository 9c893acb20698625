"""Which files of a folder are finished, and by what they were made, so that no run repeats another's work."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from soundgate.runtime.files import read_json, sha256_of, write_json
from soundgate.runtime.paths import path_to_text

_PARTIAL = re.compile(r"\.(\d+)\.partial")


class Record:
    """The finished outputs of a folder.

    Args:
        folder: that they lie in; None: nothing is kept, and nothing is finished.
        name: of the file in it that says so.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self.folder, self.name, self.entries = folder, name, {}
        if folder is not None and (folder / name).is_file():
            try:
                self.entries = read_json(folder / name)
            except json.JSONDecodeError:
                # Not of ours: everything is made, and it is written anew.
                self.entries = {}

    def finished(self, source: Path, out: Path, key: dict) -> bool:
        """Return whether an output is there just as it was made, of the same recording by the same means.

        Args:
            source: the recording.
            out: its output.
            key: by what it is to be made, for JSON; ``explain``: whether a picture and figures lie beside it.
        """
        entry = self.entries.get(self._name(out))
        there = (source, *(self.beside(out, ending) for ending in self._endings(key)))
        if entry is None or not all(path.is_file() for path in there):
            return False
        return entry == self._entry(source, out, key)

    def add(self, source: Path, out: Path, key: dict) -> None:
        """Note an output that is finished."""
        if self.folder is not None:
            self.entries[self._name(out)] = self._entry(source, out, key)
            write_json(self.folder / self.name, dict(sorted(self.entries.items())))

    @staticmethod
    def beside(out: Path, ending: str) -> Path:
        """Return ``<out><ending>``."""
        return out.with_name(out.name + ending)

    def _endings(self, key: dict) -> tuple[str, ...]:
        return ("", ".json", ".png") if key["explain"] else ("",)

    def _name(self, out: Path) -> str:
        return "" if self.folder is None else path_to_text(out.relative_to(self.folder))

    def _entry(self, source: Path, out: Path, key: dict) -> dict:
        return {"source_sha256": sha256_of(source), "out_sha256": sha256_of(out)} | key


def remove_leftovers(out: Path) -> None:
    """Remove parts of an output that killed processes left beside it."""
    for path in out.parent.glob(".*.partial*"):
        own = path.name.startswith(f".{out.stem}.") and path.name.endswith(f".partial{out.suffix}")
        found = _PARTIAL.search(path.name)
        if own and found and not _runs(int(found[1])):
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
