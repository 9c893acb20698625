"""A session of triage: what has been decided, which clip is next, the lists that come of it."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import threading
from pathlib import Path

from soundgate.runtime.errors import ConfigError
from soundgate.runtime.files import atomic_path, write_text
from soundgate.tracks.transfer.triage.clips import Clip, Listing, session_order
from soundgate.tracks.transfer.triage.decisions import ACCEPT, DECISIONS, REJECT, SKIP, UNDO, DecisionLog, RemarkLog

UNDECIDED, UNUSABLE = "undecided", "unusable"


class Session:
    """A walk through the clips of a listing in a random order of its own.

    The clips nobody decided on come first; then those that were skipped, the one skipped longest ago first,
    again and again until each is accepted or rejected.

    Args:
        name: letters, digits, ``.``, ``_`` and ``-``; the same name goes on where the session stood.
        listing: the clips.
        out: sessions' folder; this one's is ``out/name``.
        max_clips: how many clips to go through; None: all.
        seed: of the order, with the name.
        blind: whether names, paths and what the CSV says of a clip stay hidden until the export.

    Raises:
        ConfigError: a name that is no folder's, or a session that another process has open.
        FormatError: its ``decisions.csv`` is damaged.
    """

    def __init__(
        self,
        name: str,
        listing: Listing,
        out: Path,
        max_clips: int | None = None,
        seed: int = 0,
        blind: bool = False,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", name):
            expected = "up to 100 letters, digits, dots, dashes and underscores, no dot first"
            raise ConfigError("--session-name", expected=expected, found=repr(name))
        self.name, self.listing, self.folder = name, listing, out / name
        self.queue = session_order(listing.clips, name, seed)[:max_clips]
        self.seed, self.blind = seed, blind
        self._by_id = {clip.clip_id: clip for clip in listing.unusable}
        self._by_id |= {clip.clip_id: clip for clip in listing.clips if not clip.problem}
        self._by_shown_id = {self.shown_id(clip): clip for clip in self._by_id.values()}
        self._places = {clip.clip_id: place for place, clip in enumerate(self.queue, 1)}
        self._lock = threading.Lock()
        self._log = DecisionLog(self.folder / "decisions.csv")
        self._remarks = RemarkLog(self.folder / "remarks.csv")

    def shown_id(self, clip: Clip) -> str:
        """Return the id a page knows a clip by: in a blind session one that says nothing."""
        if not self.blind:
            return clip.clip_id
        return hashlib.sha256(f"{self.seed} {self.name} {clip.clip_id}".encode()).hexdigest()[:12]

    def shown_name(self, clip: Clip) -> str:
        """Return a clip's path; in a blind session its number."""
        if not self.blind:
            return clip.path
        place = self.place(clip)
        return f"row {clip.row + 1}" if place is None else f"clip {place}"

    def facts(self, clip: Clip) -> dict[str, str]:
        """Return what may be said of a clip by the CSV's columns; nothing in a blind session."""
        return {} if self.blind else self.listing.facts(clip)

    def find(self, shown_id: str) -> Clip | None:
        """Return the clip of that id (`shown_id`), usable or not."""
        return self._by_shown_id.get(shown_id)

    def state(self, clip: Clip) -> str:
        """Return ``accept``, ``reject``, ``skip``, ``undecided`` or ``unusable``."""
        return UNUSABLE if clip.problem else self._log.latest.get(clip.clip_id, UNDECIDED)

    def place(self, clip: Clip) -> int | None:
        """Return a clip's place in the queue, from 1; None where it is not in it."""
        return None if clip.problem else self._places.get(clip.clip_id)

    def decide(self, clip: Clip, decision: str) -> None:
        """Record a decision, durably; a later one on the same clip replaces it.

        Raises:
            OSError: it could not be written, so it does not count.
        """
        assert decision in DECISIONS and not clip.problem, (clip, decision)
        with self._lock:
            self._log.append(clip.clip_id, clip.path, decision)

    def undo(self) -> Clip | None:
        """Take the last decision back, durably, and return its clip; None where there is none to take back.

        Raises:
            OSError: it could not be written, so the decision stands.
        """
        with self._lock:
            clip = self._by_id.get(self._log.last or "")
            if clip is not None:
                self._log.append(clip.clip_id, clip.path, UNDO)
        return clip

    def remark(self, clip: Clip) -> tuple[str, str]:
        """Return a clip's tags and note."""
        return self._remarks.latest.get(clip.clip_id, ("", ""))

    def set_remark(self, clip: Clip, tags: str, note: str) -> tuple[str, str]:
        """Replace a clip's tags and note, durably; return both as kept.

        Raises:
            OSError: it could not be written; the earlier ones stay.
        """
        with self._lock:
            return self._remarks.append(clip.clip_id, clip.path, tags, note)

    def upcoming(self, n: int = 1) -> list[Clip]:
        """Return the next clips to decide on, at most ``n``; none when all are accepted or rejected."""
        with self._lock:
            latest = dict(self._log.latest)
        undecided = (clip for clip in self.queue if clip.clip_id not in latest)
        skipped = (self._by_id[key] for key, value in latest.items() if value == SKIP and key in self._places)
        return [clip for clip, _ in zip((*undecided, *skipped), range(n), strict=False)]

    def counts(self) -> dict[str, int]:
        """Return how many queued clips are in each state, and how many rows are unusable."""
        states = [self.state(clip) for clip in self.queue]
        counts = {state: states.count(state) for state in (UNDECIDED, *DECISIONS)}
        return counts | {"total": len(states), UNUSABLE: len(self.listing.unusable)}

    def write_lists(self) -> list[Path]:
        """Write ``accepted.csv`` and ``rejected.csv``: the CSV's rows with all its columns, in its order.

        ``unusable.csv`` holds the rows that could not be used, with the reason, where there are any.
        ``export.csv`` and ``export.json`` hold every clip of the session with its decision, tags, note and all that
        the CSV says of it; they reveal what a blind session hid.

        Returns:
            The files written.
        """
        written = []
        with self._lock:
            for name, decision in (("accepted", ACCEPT), ("rejected", REJECT)):
                chosen = [clip for clip in self.listing.clips if self.state(clip) == decision]
                rows = [self.listing.rows[clip.row] for clip in chosen]
                written.append(self._write(f"{name}.csv", self.listing.header, rows))
            if self.listing.unusable:
                rows = [[str(clip.row + 1), clip.path, clip.problem] for clip in self.listing.unusable]
                written.append(self._write("unusable.csv", ["row", "path", "reason"], rows))
            written += self._export()
        return written

    def close(self) -> list[Path]:
        """Write the lists and let go of the session; return the files written."""
        written = self.write_lists()
        self._log.close()
        self._remarks.close()
        return written

    def _export(self) -> list[Path]:
        header = ["number", "decision", "tags", "note"]
        rows = [
            [str(self.place(clip)), self.state(clip), *self.remark(clip), *self.listing.rows[clip.row]]
            for clip in self.queue
        ]
        whole = [*header, *(name if name not in header else f"csv_{name}" for name in self.listing.header)]
        content = {
            "session": self.name,
            "seed": self.seed,
            "blind": self.blind,
            "clips": [dict(zip(whole, cells, strict=True)) for cells in rows],
        }
        table = self._write("export.csv", whole, rows)
        write_text(self.folder / "export.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        return [table, self.folder / "export.json"]

    def _write(self, name: str, header: list[str], rows: list[list[str]]) -> Path:
        path = self.folder / name
        with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
        return path
