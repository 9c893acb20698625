"""Work folders that survive a kill: keyed by everything that changes the result, published whole."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from soundgate.runtime.code_hash import work_hash
from soundgate.runtime.console import logger
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import fsync_folder, read_json, sha256_of, write_json

# Names where resumable work is kept.
SCRATCH = "SOUNDGATE_SCRATCH"
CARD = "scratch.json"
LOCK = "scratch.lock"
DOOMED = ".removing"


def scratch_root() -> Path:
    """Return where resumable work is kept: ``SOUNDGATE_SCRATCH``, else ``scratch`` in the repository."""
    return Path(os.environ.get(SCRATCH) or "scratch")


def downloads_folder(stage: str) -> Path:
    """Return where a stage keeps checksummed downloads: content that no parameter and no code can change."""
    folder = scratch_root() / stage / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def out_of(path: str | Path) -> Path | None:
    """Return the output that a file in a work folder is for; None where it is in none."""
    cards = (parent / CARD for parent in Path(path).absolute().parents)
    card = next((card for card in cards if card.is_file()), None)
    return None if card is None else Path(read_json(card)["out"])


@dataclass(frozen=True)
class Scratch:
    """The work folder of one run of one stage; nobody else works in it until this process ends.

    Attributes:
        folder: ``<root>/<stage>/<key>``; its content is the stage's own business.
        out: the stage output it works for, as the pipeline names it.
        lock: the open lock file; the system releases it however the process ends.
    """

    folder: Path
    out: Path
    lock: IO[str]

    @property
    def result(self) -> Path:
        """Where a stage puts what it publishes, unless it says otherwise."""
        return self.folder / "result"

    def publish(self, finished: Path | None = None) -> None:
        """Make ``out`` the finished result, whole or not at all, then remove the work of older keys.

        The files are linked, not moved (copied where ``out`` is on another disk), and stay here until a run
        with another key succeeds: a pipeline killed after this but before it has recorded the output removes
        ``out``, and the next run publishes it again without computing it again.

        Args:
            finished: the file or folder inside ``folder`` to publish; by default ``result``.
        """
        publish(finished or self.result, self.out)
        self._prune()

    def _prune(self) -> None:
        for other in self.folder.parent.iterdir():
            if other == self.folder:
                continue
            if self._is_same_out(other) and not _is_locked(other):
                logger.info("Removing the work of an earlier run: %s", other)
                # Half removed, a folder must not be taken for resumable work.
                other = other.rename(other.with_name(other.name + DOOMED))
            if other.name.endswith(DOOMED):
                shutil.rmtree(other, ignore_errors=True)

    def _is_same_out(self, other: Path) -> bool:
        return (other / CARD).is_file() and read_json(other / CARD)["out"] == str(self.out)


def open_scratch(
    stage: str,
    out: str | Path,
    *,
    modules: Iterable[str],
    params: Mapping,
    inputs: Iterable[str | Path],
    root: Path = Path(),
) -> Scratch:
    """Open, or make, the work folder that belongs to exactly these parameters, inputs, code and libraries.

    Args:
        stage: the stage's name, ``structure-latents``.
        out: the output the work is for.
        modules: the stage's module and those it loads by name; what they can reach by imports is part of the key,
            see `work_hash`.
        params: every parameter the stage reads, as JSON values.
        inputs: files, or folders of files, whose bytes are part of the key. For a corpus its index is enough:
            that holds the hash of every file.
        root: the repository.

    Returns:
        The work folder, with what an interrupted run with the same key left in it.

    Raises:
        FormatError: another process is at work in the same folder.
    """
    out = Path(out)
    card = {
        "stage": stage,
        "out": str(out),
        "params": json.loads(json.dumps(params)),
        "inputs": _hashes(root, [Path(path) for path in inputs]),
        "code": work_hash(root, modules),
    }
    key = hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()
    folder = scratch_root() / stage / key
    folder.mkdir(parents=True, exist_ok=True)
    lock = _locked(folder)
    for leftover in folder.rglob(".*.partial*"):  # Of `atomic_path` in a process that was killed.
        leftover.unlink()
    if (folder / CARD).is_file():
        logger.info("Going on in %s", folder)
    else:
        write_json(folder / CARD, card)
    return Scratch(folder, out, lock)


def _locked(folder: Path) -> IO[str]:
    lock = open(folder / LOCK, "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise FormatError(
            folder,
            expected="a folder nobody works in",
            found="a running process",
            remedy="Wait for the other run, or give this one its own SOUNDGATE_SCRATCH.",
        ) from error
    return lock


def _is_locked(folder: Path) -> bool:
    try:
        _locked(folder).close()
    except FormatError:
        return True
    return False


def publish(finished: str | Path, out: str | Path) -> None:
    """Replace ``out`` by the finished file or folder, in one rename; ``finished`` stays where it is.

    Killed at any instant, ``out`` is the old result, absent, or the new result, and ``finished`` is whole.
    """
    finished, out = Path(finished), Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    incoming, outgoing = (out.with_name(f".{out.name}.{kind}") for kind in ("incoming", "outgoing"))
    for leftover in (incoming, outgoing):
        _remove(leftover)
    if finished.is_dir():
        shutil.copytree(finished, incoming, copy_function=_link_or_copy)
    else:
        _link_or_copy(finished, incoming)
    if out.exists():
        out.rename(outgoing)
    incoming.rename(out)
    fsync_folder(out.parent)
    _remove(outgoing)


def _link_or_copy(source: str | Path, target: str | Path) -> str:
    try:
        os.link(source, target)
    except OSError:  # Another disk, or one without links.
        shutil.copy2(source, target)
    return str(target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _hashes(root: Path, paths: list[Path]) -> dict[str, str]:
    hashes = {}
    for path in paths:
        if (root / path).is_dir():
            files = sorted(file for file in (root / path).rglob("*") if file.is_file())
            hashes |= {str(path / file.relative_to(root / path)): sha256_of(file) for file in files}
        else:
            hashes[str(path)] = sha256_of(root / path)
    return hashes
