"""The decisions of a session on disk: one line each, durable before the next clip is shown."""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import os
from datetime import UTC, datetime
from pathlib import Path

from soundgate.runtime.console import logger
from soundgate.runtime.errors import ConfigError, FormatError
from soundgate.runtime.files import fsync_folder

ACCEPT, REJECT, SKIP = "accept", "reject", "skip"
DECISIONS = (ACCEPT, REJECT, SKIP)
COLUMNS = ["time", "clip_id", "path", "decision"]


class DecisionLog:
    """An append-only ``decisions.csv``, held by one process at a time.

    A process killed in the middle of a line leaves a last line without its end: that one is dropped at the next
    opening, all others are kept.

    Args:
        path: made if missing, with its folder.

    Attributes:
        latest: each clip's last decision by clip id, the one taken longest ago first.

    Raises:
        ConfigError: another process holds it.
        FormatError: a finished line is none of ours.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.latest: dict[str, str] = {}
        self._file = open(path, "a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            remedy = "Quit that one, or give another --session-name."
            found = "another process at work on it"
            raise ConfigError(path, expected="a session nobody has open", found=found, remedy=remedy) from error
        self._repair()
        self._read()

    def append(self, clip_id: str, path: str, decision: str) -> None:
        """Add a decision; when this returns it is on the disk.

        Raises:
            OSError: the disk would not take it; the file is as before.
        """
        self._write([datetime.now(UTC).isoformat(timespec="milliseconds"), clip_id, path, decision])
        self._note(clip_id, decision)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _note(self, clip_id: str, decision: str) -> None:
        self.latest.pop(clip_id, None)
        self.latest[clip_id] = decision

    def _write(self, cells: list[str]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        data = line.getvalue().encode()
        end = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), end)
            raise

    def _repair(self) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            logger.warning("%s: an unfinished last line dropped", self.path)
            os.ftruncate(self._file.fileno(), whole)
        if not whole:
            self._write(COLUMNS)
            fsync_folder(self.path.parent)

    def _read(self) -> None:
        text = self.path.read_text(encoding="utf-8", errors="replace")
        lines = csv.reader(io.StringIO(text, newline=""))
        for number, cells in enumerate(lines, 1):
            fits = cells == COLUMNS if number == 1 else len(cells) == len(COLUMNS) and cells[3] in DECISIONS
            if not fits:
                raise FormatError(
                    f"{self.path}, line {number}",
                    expected=",".join(COLUMNS),
                    found=",".join(cells) or "an empty line",
                    remedy="Mend the line or move the file away.",
                )
            if number > 1:
                self._note(cells[1], cells[3])
