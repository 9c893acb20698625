"""Finished runs kept as numbered folders: run1, run2, ... for those who compare folders."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import fsync_folder, read_json, sha256_of, write_json
from soundgate.tracks.transfer.run_folder import HISTORY_FILE, STATE_FILE
from soundgate.training.weights import CONFIG_FILE, MODEL_FILE

SERIES = "lab3_synthesis"
CARD = "run.json"
PATHS = ("mel", "codec")
AUDIT = "lab3_exit_audit.json"
PACK = "posttrain_samples"
_FILES = (STATE_FILE, HISTORY_FILE, MODEL_FILE, CONFIG_FILE)
_CHECKPOINTS = "checkpoints/*.pt"
_UNFINISHED = ".unfinished"
_RUN = re.compile(r"run([1-9]\d*)")


class Exported(NamedTuple):
    """Where a run is kept, and whether this call put it there."""

    folder: Path
    new: bool


def export_run(run_folder: Path, metrics: Path, samples: Path, destination: Path) -> Exported:
    """Copy what a finished run left into the first free ``destination/lab3_synthesis/runN``.

    The copy is made under another name and renamed when it is whole. ``run.json`` in it holds the SHA-256 of
    each file and of all together, by which the same content is known again and not copied twice.

    Args:
        run_folder: ``data/<profile>/transfer``: holds ``mel/`` and ``codec/``, at least one of them finished.
        metrics: ``metrics/<profile>/transfer``: holds ``lab3_exit_audit.json``.
        samples: ``data/<profile>/transfer/samples``: holds ``posttrain_samples/``.
        destination: folder of all runs.

    Returns:
        The run's folder, and whether it is new.

    Raises:
        FormatError: nothing is finished, a part is missing, or the files change while they are copied.
    """
    sources = _sources(run_folder, metrics, samples)
    hashes = {name: sha256_of(path) for name, path in sources.items()}
    content = _hash_of_all(hashes)
    series = destination / SERIES
    with _alone_in(series):
        taken = _numbers(series)
        for number in taken:
            if _content_of(series / f"run{number}") == content:
                return Exported(series / f"run{number}", new=False)
        unfinished = series / _UNFINISHED
        shutil.rmtree(unfinished, ignore_errors=True)
        _copy(sources, hashes, unfinished)
        write_json(unfinished / CARD, {"content_sha256": content, "files": hashes})
        folder = series / f"run{next(number for number in count(1) if number not in taken)}"
        os.rename(unfinished, folder)
        fsync_folder(series)
    return Exported(folder, new=True)


def _sources(run_folder: Path, metrics: Path, samples: Path) -> dict[str, Path]:
    """Return the files of a finished run by their names in the copy, sorted."""
    finished = [path for path in PATHS if (run_folder / path / STATE_FILE).is_file()]
    remedy = "Run: soundgate repro"
    if not finished:
        expected = " or ".join(f"{path}/{STATE_FILE}" for path in PATHS)
        raise FormatError(run_folder, expected=expected, found="no finished run", remedy=remedy)
    parts = [run_folder / path / name for path in finished for name in _FILES]
    parts += [metrics / AUDIT, samples / PACK / "index.html", samples / PACK / "generation_summary.csv"]
    missing = [str(part) for part in parts if not part.is_file()]
    checkpoints = {path: sorted((run_folder / path).glob(_CHECKPOINTS)) for path in finished}
    missing += [str(run_folder / path / _CHECKPOINTS) for path, found in checkpoints.items() if not found]
    if missing:
        raise FormatError(missing[0], expected="a part of a finished run", found="no such file", remedy=remedy)
    sources = {f"{path}/{name}": run_folder / path / name for path in finished for name in _FILES}
    for path, files in checkpoints.items():
        sources |= {f"{path}/checkpoints/{file.name}": file for file in files}
    sources[AUDIT] = metrics / AUDIT
    pack = samples / PACK
    for file in pack.rglob("*"):
        if file.is_file():
            sources[f"samples/{PACK}/{file.relative_to(pack).as_posix()}"] = file
    return dict(sorted(sources.items()))


def _copy(sources: dict[str, Path], hashes: dict[str, str], folder: Path) -> None:
    for name, source in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)
        if sha256_of(folder / name) != hashes[name]:
            remedy = "Export again when nothing else is running."
            raise FormatError(source, expected=f"sha256 {hashes[name]}", found="a change meanwhile", remedy=remedy)


def _hash_of_all(hashes: dict[str, str]) -> str:
    lines = "".join(f"{value}  {name}\n" for name, value in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _numbers(series: Path) -> list[int]:
    """Return the numbers that are taken, in order; a folder being written has none."""
    matches = (_RUN.fullmatch(path.name) for path in series.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def _content_of(folder: Path) -> str | None:
    card = folder / CARD
    return read_json(card).get("content_sha256") if card.is_file() else None


@contextmanager
def _alone_in(series: Path) -> Iterator[None]:
    """Wait until no other export works in the folder."""
    series.mkdir(parents=True, exist_ok=True)
    with open(series / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
