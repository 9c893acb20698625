"""``dvc.lock`` as text: one stage's entry replaced at a time, written whole or not at all, mended where it was cut."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from dvc.schema import COMPILED_LOCK_FILE_STAGE_SCHEMA, COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML, YAMLError
from voluptuous import Invalid

from soundgate.runtime.console import logger
from soundgate.runtime.files import write_text

LOCK_FILE = "dvc.lock"
# The last whole file seen, beside DVC's own temporary files.
COPY = Path(".dvc", "tmp", "soundgate", LOCK_FILE)
_HEAD = "schema: '2.0'\nstages:\n"
_ENTRY = re.compile(r"^  (?P<name>[^\s#].*):\n", re.MULTILINE)


class LockFile:
    """The lock file of a repository.

    DVC opens the file for writing and streams YAML into it, a second or more for thousands of lines; a process killed
    meanwhile leaves a part, which no DVC command reads. This writes what DVC would write, byte for byte, in one rename.

    Args:
        root: the repository.
        order: addresses of the pipeline's stages: their entries stand in this order, whichever ended first, behind
            those of other stages (of other profiles).
    """

    def __init__(self, root: Path, order: Iterable[str] = ()) -> None:
        self._root = root
        self._place = {name: place for place, name in enumerate(order)}
        self._head, self._entries = _HEAD, {}
        if (root / LOCK_FILE).is_file():
            self._head, self._entries = _split((root / LOCK_FILE).read_text(encoding="utf-8"))

    def record(self, stage: str, entry: Mapping) -> None:
        """Replace the entry of a stage, or add it, and write the file where that changes it.

        Args:
            stage: address, ``voice-train@embedded``.
            entry: what DVC's serialisation gives for it.
        """
        text = _dumped(stage, entry)
        if self._entries.get(stage) == text:
            return
        self._entries[stage] = text
        ordered = sorted(self._entries, key=lambda name: self._place.get(name, -1))
        write_text(self._root / LOCK_FILE, self._head + "".join(map(self._entries.get, ordered)))


def mend(root: Path) -> bool:
    """Make a lock file whole that a killed DVC has left in the middle, or a merge in conflict.

    Entries that DVC can read are kept; the others come from the last whole file, or from Git. An entry that is older
    than its stage's outputs does no harm: DVC compares it with what is there.

    Returns:
        Whether that was needed.
    """
    path = root / LOCK_FILE
    if not path.exists():
        return False
    content = path.read_bytes()
    if _is_whole(content):
        write_text(root / COPY, content.decode("utf-8"))
        return False
    _, found = _split(content.decode("utf-8", errors="replace"))
    if found:
        found.popitem()  # The one it was cut in.
    kept = {name: entry for name, entry in found.items() if _is_entry(name, entry)}
    source, before = _last_whole(root)
    entries = _split(before)[1] | kept if before else kept
    write_text(path, _HEAD + "".join(entries.values()) if entries else "schema: '2.0'\nstages: {}\n")
    logger.warning(
        "%s: cut short by a run that was killed, or in conflict; mended: %d entries kept, %d from %s",
        path,
        len(kept),
        len(entries) - len(kept),
        source,
    )
    return True


def _last_whole(root: Path) -> tuple[str, str]:
    """Return where the last whole lock file is from, and its text; empty where there is none."""
    copy = root / COPY
    if copy.is_file() and _is_whole(content := copy.read_bytes()):
        return "the last whole file", content.decode("utf-8")
    try:
        shown = subprocess.run(["git", "show", f"HEAD:./{LOCK_FILE}"], cwd=root, capture_output=True, check=False)
    except FileNotFoundError:  # No Git.
        return "nowhere", ""
    if shown.returncode == 0 and _is_whole(shown.stdout):
        return "the last commit", shown.stdout.decode("utf-8")
    return "nowhere", ""


def _is_whole(content: bytes) -> bool:
    """Return whether DVC can read a lock file, which ends as all that it writes."""
    try:
        loaded = YAML(typ="safe").load(content.decode("utf-8"))
        COMPILED_LOCKFILE_SCHEMA(loaded)
    except (YAMLError, ValueError, Invalid):
        return False
    return content.endswith(b"\n") and "stages" in loaded


def _is_entry(name: str, text: str) -> bool:
    """Return whether DVC can read a stage's entry: no marks of a merge and no bytes of something else are in it."""
    try:
        loaded = YAML(typ="safe").load(text)
        COMPILED_LOCK_FILE_STAGE_SCHEMA(loaded[name])
    except (YAMLError, ValueError, KeyError, Invalid):
        return False
    return len(loaded) == 1 and "\ufffd" not in text


def _split(text: str) -> tuple[str, dict[str, str]]:
    """Return what stands before the first stage, and the text of every stage's entry by its name."""
    starts = list(_ENTRY.finditer(text))
    if not starts:
        return _HEAD, {}
    ends = [start.start() for start in starts[1:]] + [len(text)]
    entries = {start["name"].strip("'\""): text[start.start() : end] for start, end in zip(starts, ends, strict=True)}
    return text[: starts[0].start()], entries


def _dumped(stage: str, entry: Mapping) -> str:
    """Return a stage's entry as DVC dumps it inside the file."""
    from dvc.utils.serialize import dumps_yaml

    text = dumps_yaml({"stages": {stage: entry}})
    return text.removeprefix("stages:\n")
