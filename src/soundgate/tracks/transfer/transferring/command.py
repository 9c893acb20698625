"""`soundgate transfer`: files and folders, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from soundgate.own_files.planning import Job, plan
from soundgate.own_files.record import Record, remove_leftovers
from soundgate.runtime.console import logger
from soundgate.runtime.errors import AudioError, SoundgateError
from soundgate.runtime.paths import path_to_text
from soundgate.tracks.transfer.transferring.file import Options, Transfer, prepare, transfer_with
from soundgate.tracks.transfer.transferring.writing import output_suffix

RECORD_FILE = "transfers.json"


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    Args:
        inputs: files and folders to transfer.
        style: an audio file, or a style of the profile's corpus.
        out: file or folder to write.
        profile: whose corpus and models are looked at.
        options: see `Options`.
    """

    inputs: Sequence[Path]
    style: str
    out: Path
    profile: str
    options: Options


def run_transfer(request: Request) -> int:
    """Transfer everything, and return how many files could not be: each is named with its reason, the others go on.

    Raises:
        SoundgateError: the style, the options or the output's place are unfit; nothing was written.
    """
    planned = plan(request.inputs, request.out, output_suffix)
    transfer = prepare(request.style, request.profile, request.options)
    kept = {one.path.resolve() for one in transfer.style.recordings} | {job.source.resolve() for job in planned.jobs}
    text = "Style %s: %.1f s of %d recordings, by %s"
    style = transfer.style
    logger.info(text, path_to_text(style.name), style.seconds, len(style.recordings), request.options.path)
    record, refused = Record(planned.folder, RECORD_FILE), list(planned.refused)
    for number, job in enumerate(planned.jobs, 1):
        try:
            _check_overwrites(job, kept)
            _transfer(transfer, job, record)
        except SoundgateError as error:
            refused.append(error)
        if len(planned.jobs) > 1:
            logger.info("%d of %d files", number, len(planned.jobs))
    for error in refused:
        click.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
    return len(refused)


def _transfer(transfer: Transfer, job: Job, record: Record) -> None:
    if record.finished(job.source, job.out, transfer.key):
        logger.info("%s: finished by an earlier run, and kept", path_to_text(job.out))
        return
    remove_leftovers(job.out)
    transfer_with(transfer, job.source, job.out)
    record.add(job.source, job.out, transfer.key)


def _check_overwrites(job: Job, kept: set[Path]) -> None:
    """Refuse to write over a recording that is read.

    Raises:
        AudioError: the output is one.
    """
    if job.out.resolve() in kept:
        found = "the input" if job.out.resolve() == job.source.resolve() else "an input or the exemplar"
        raise AudioError(job.out, expected="a file other than the input", found=found, remedy="Name another place.")
