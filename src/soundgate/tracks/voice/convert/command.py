"""`soundgate convert`: files and folders, one after another."""

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
from soundgate.tracks.voice.convert.conversion import Conversion, Options, prepare
from soundgate.tracks.voice.convert.file import convert_with
from soundgate.tracks.voice.convert.writing import output_suffix

RECORD_FILE = "conversions.json"


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    Args:
        inputs: files and folders to convert.
        to: references of the target.
        out: file or folder to write.
        method: ``auto``, ``gan``, ``knn`` or ``world``.
        profile: whose audit, converter and corpus are looked at.
        models: folder of a converter instead of the profile's.
        options: see `Options`.
    """

    inputs: Sequence[Path]
    to: Sequence[str]
    out: Path
    method: str
    profile: str
    models: Path | None
    options: Options


def run_convert(request: Request) -> int:
    """Convert everything, and return how many files could not be: each is named with its reason, the others go on.

    Raises:
        SoundgateError: the references, the converter, the options or the output's place are unfit; nothing was written.
    """
    planned = plan(request.inputs, request.out, output_suffix)
    conversion = prepare(request.to, request.method, request.profile, request.models, request.options)
    target, choice = conversion.target, conversion.choice
    kept = {path.resolve() for path in (*target.paths, *(job.source for job in planned.jobs))}
    logger.info("Method %s: %s", choice.name, choice.why)
    text = "Target %s: %.1f s of reference, %.1f s voiced, mean F0 %.0f Hz"
    logger.info(text, target.name, target.seconds, target.voicing.voiced_s, target.voicing.f0_hz)
    record, refused = Record(planned.folder, RECORD_FILE), list(planned.refused)
    for number, job in enumerate(planned.jobs, 1):
        try:
            _check_overwrites(job, kept)
            _convert(conversion, job, record)
        except SoundgateError as error:
            refused.append(error)
        if len(planned.jobs) > 1:
            logger.info("%d of %d files", number, len(planned.jobs))
    for error in refused:
        click.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
    return len(refused)


def _convert(conversion: Conversion, job: Job, record: Record) -> None:
    if record.finished(job.source, job.out, conversion.key):
        logger.info("%s: finished by an earlier run, and kept", path_to_text(job.out))
        return
    remove_leftovers(job.out)
    convert_with(conversion, job.source, job.out)
    record.add(job.source, job.out, conversion.key)


def _check_overwrites(job: Job, kept: set[Path]) -> None:
    """Refuse to write over a recording that is read.

    Raises:
        AudioError: the output is one.
    """
    if job.out.resolve() in kept:
        found = "the input" if job.out.resolve() == job.source.resolve() else "an input or a reference"
        raise AudioError(job.out, expected="a file other than the input", found=found, remedy="Name another place.")
