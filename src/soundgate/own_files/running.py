"""Does every planned output, one after another; what cannot be done is named, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import click

from soundgate.own_files.planning import Job, Plan
from soundgate.own_files.record import Record, remove_leftovers
from soundgate.runtime.console import logger
from soundgate.runtime.errors import AudioError, SoundgateError
from soundgate.runtime.paths import path_to_text


def run_jobs(
    planned: Plan, read: Iterable[Path], record: Record, key: dict, make: Callable[[Path, Path], object]
) -> int:
    """Make every output, and return how many could not be made: each is named on stderr with its reason.

    Args:
        planned: from `soundgate.own_files.planning.plan`.
        read: recordings that are read beside the inputs; nothing is written over one.
        record: which outputs are finished.
        key: see `Record.finished`.
        make: of a recording and the file to write.
    """
    kept, refused = {path.resolve() for path in (*read, *(job.source for job in planned.jobs))}, list(planned.refused)
    for number, job in enumerate(planned.jobs, 1):
        try:
            _check_overwrites(job, kept)
            _make(job, record, key, make)
        except SoundgateError as error:
            refused.append(error)
        if len(planned.jobs) > 1:
            logger.info("%d of %d files", number, len(planned.jobs))
    for error in refused:
        click.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
    return len(refused)


def check_output(path: Path, out: Path) -> None:
    """Refuse an output that is the input or a folder, and make the folder that it lies in.

    Raises:
        AudioError: it is one of these, or its folder is a file.
    """
    if out.is_dir() or (out.exists() and path.exists() and out.samefile(path)):
        raise AudioError(out, expected="a file other than the input", found="a folder" if out.is_dir() else "the input")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise AudioError(out, expected="a folder to write to", found=f"{error.filename} is a file") from error


def _make(job: Job, record: Record, key: dict, make: Callable[[Path, Path], object]) -> None:
    if record.finished(job.source, job.out, key):
        logger.info("%s: finished by an earlier run, and kept", path_to_text(job.out))
        return
    remove_leftovers(job.out)
    make(job.source, job.out)
    record.add(job.source, job.out, key)


def _check_overwrites(job: Job, kept: set[Path]) -> None:
    """Refuse to write over a recording that is read.

    Raises:
        AudioError: the output is one.
    """
    if job.out.resolve() in kept:
        found = "the input" if job.out.resolve() == job.source.resolve() else "an input or a reference"
        raise AudioError(job.out, expected="a file other than the input", found=found, remedy="Name another place.")
