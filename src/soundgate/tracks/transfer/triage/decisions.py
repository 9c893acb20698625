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

ACCEPT, REJECT, SKIP, UNDO = "accept", "reject", "skip", "undo"
DECISIONS = (ACCEPT, REJECT, SKIP)
COLUMNS = ["time", "clip_id", "path", "decision"]
REMARK_COLUMNS = ["time", "clip_id", "path", "tags", "note"]


class Log:
    """An append-only CSV, held by one process at a time.

    A process killed in the middle of a line leaves a last line without its end: that one is dropped at the next
    opening, all others are kept.

    Args:
        path: made if missing, with its folder.
        columns: its header; ``time`` first, which is filled in here.

    Attributes:
        lines: what stood in it at the opening, without the header.

    Raises:
        ConfigError: another process holds it.
        FormatError: its header or the number of a line's cells is another.
    """

    def __init__(self, path: Path, columns: list[str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._columns = path, columns
        self._file = open(path, "a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            remedy = "Quit that one, or give another --session-name."
            found = "another process at work on it"
            raise ConfigError(path, expected="a session nobody has open", found=found, remedy=remedy) from error
        self._repair()
        self.lines = self._read()

    def add(self, *cells: str) -> None:
        """Add a line; when this returns it is on the disk.

        Raises:
            OSError: the disk would not take it; the file is as before.
        """
        self._write([datetime.now(UTC).isoformat(timespec="milliseconds"), *cells])

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def damaged(self, number: int, cells: list[str]) -> FormatError:
        """Return the error of a line, numbered from 1."""
        return FormatError(
            f"{self.path}, line {number}",
            expected=",".join(self._columns),
            found=",".join(cells) or "an empty line",
            remedy="Mend the line or move the file away.",
        )

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
            self._write(self._columns)
            fsync_folder(self.path.parent)

    def _read(self) -> list[list[str]]:
        text = self.path.read_text(encoding="utf-8", errors="replace")
        lines = list(csv.reader(io.StringIO(text, newline="")))
        for number, cells in enumerate(lines, 1):
            if len(cells) != len(self._columns) or (number == 1 and cells != self._columns):
                raise self.damaged(number, cells)
        return lines[1:]


class DecisionLog:
    """The decisions of a session, in ``decisions.csv``: taken ones, and ``undo`` where the last one was taken back.

    Files of sessions that knew no ``undo`` are read and continued as they are.

    Args:
        path: of the file.

    Attributes:
        latest: each clip's last decision by clip id, the one taken longest ago first.

    Raises:
        ConfigError, FormatError: see `Log`; a decision that there is not, an ``undo`` of none.
    """

    def __init__(self, path: Path) -> None:
        self._log = Log(path, COLUMNS)
        self._taken: list[tuple[str, str]] = []
        self.latest: dict[str, str] = {}
        for number, cells in enumerate(self._log.lines, 2):
            undone = cells[3] == UNDO and bool(self._taken) and self._taken[-1][0] == cells[1]
            if not (undone or cells[3] in DECISIONS):
                raise self._log.damaged(number, cells)
            self._note(cells[1], cells[3])

    @property
    def last(self) -> str | None:
        """The clip of the last decision that was not taken back."""
        return self._taken[-1][0] if self._taken else None

    def append(self, clip_id: str, path: str, decision: str) -> None:
        """Add a decision, or an ``undo`` of the last one, durably.

        Raises:
            OSError: the disk would not take it; the file is as before.
        """
        self._log.add(clip_id, path, decision)
        self._note(clip_id, decision)

    def close(self) -> None:
        """Let go of the file."""
        self._log.close()

    def _note(self, clip_id: str, decision: str) -> None:
        if decision == UNDO:
            self._taken.pop()
            taken, self._taken, self.latest = self._taken, [], {}
            for pair in taken:
                self._note(*pair)
            return
        self._taken.append((clip_id, decision))
        self.latest.pop(clip_id, None)
        self.latest[clip_id] = decision


class RemarkLog:
    """Tags and notes on clips, in ``remarks.csv``.

    Attributes:
        latest: each clip's tags, separated by spaces, and note, by clip id.

    Raises:
        ConfigError, FormatError: see `Log`.
    """

    def __init__(self, path: Path) -> None:
        self._log = Log(path, REMARK_COLUMNS)
        self.latest = {cells[1]: (cells[3], cells[4]) for cells in self._log.lines}

    def append(self, clip_id: str, path: str, tags: str, note: str) -> tuple[str, str]:
        """Replace a clip's tags and note, durably; return both as kept: tags once each and sorted, on one line.

        Raises:
            OSError: the disk would not take it; the file is as before.
        """
        tags, note = " ".join(sorted(set(tags.replace(",", " ").split()))), " ".join(note.split())
        self._log.add(clip_id, path, tags, note)
        self.latest[clip_id] = tags, note
        return tags, note

    def close(self) -> None:
        """Let go of the file."""
        self._log.close()
