"""`soundgate transfer`: files and folders, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from soundgate.own_files.planning import plan
from soundgate.own_files.record import Record
from soundgate.own_files.running import run_jobs
from soundgate.runtime.console import logger
from soundgate.runtime.paths import path_to_text
from soundgate.tracks.transfer.transferring.file import Options, prepare, transfer_with
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
    text = "Style %s: %.1f s of %d recordings, by %s"
    style = transfer.style
    logger.info(text, path_to_text(style.name), style.seconds, len(style.recordings), request.options.path)
    read = [one.path for one in style.recordings]
    record = Record(planned.folder, RECORD_FILE)
    return run_jobs(planned, read, record, transfer.key, partial(transfer_with, transfer))
