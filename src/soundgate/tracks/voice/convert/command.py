"""`soundgate convert`: files and folders, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from soundgate.own_files.planning import plan
from soundgate.own_files.record import Record
from soundgate.own_files.running import run_jobs
from soundgate.runtime.console import logger
from soundgate.tracks.voice.convert.conversion import Options, prepare
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
    logger.info("Method %s: %s", choice.name, choice.why)
    text = "Target %s: %.1f s of reference, %.1f s voiced, mean F0 %.0f Hz"
    logger.info(text, target.name, target.seconds, target.voicing.voiced_s, target.voicing.f0_hz)
    record = Record(planned.folder, RECORD_FILE)
    return run_jobs(planned, target.paths, record, conversion.key, partial(convert_with, conversion))
