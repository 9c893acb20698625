"""Which files a command reads, and where each output goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from soundgate.corpora.folder import audio_in
from soundgate.runtime.errors import AudioError, SoundgateError
from soundgate.runtime.paths import path_to_text


class Job(NamedTuple):
    """A recording, and the file that its output goes to."""

    source: Path
    out: Path


@dataclass
class Plan:
    """What is to be done.

    Args:
        folder: that outputs go to with their structure; None for a single file.
        jobs: in order.
        refused: what cannot be done, each with its reason.
    """

    folder: Path | None
    jobs: list[Job] = field(default_factory=list)
    refused: list[SoundgateError] = field(default_factory=list)


def plan(inputs: Sequence[Path], out: Path, suffix_of: Callable[[Path], str]) -> Plan:
    """Say where every output goes.

    One file goes to the file ``out``, or into it where it is a folder or has no extension. Several files, and folders
    with their structure, go below the folder ``out``; of several inputs each folder keeps its name there.

    Args:
        inputs: files and folders.
        out: file or folder to write.
        suffix_of: the extension of the output of a file that goes to a folder.

    Raises:
        AudioError: ``out`` is a file where a folder is needed, or lies in a folder that is read.
        CorpusError: a folder holds no audio.
    """
    single = len(inputs) == 1 and not inputs[0].is_dir()
    if single and out.suffix and not out.is_dir():
        return Plan(None, [Job(inputs[0], out)])
    if out.exists() and not out.is_dir():
        raise AudioError(out, expected="a folder for the outputs", found="a file", remedy="Name another place.")
    made = Plan(out)
    for one in inputs:
        if not one.is_dir():
            _add(made, one, Path(one.name), suffix_of)
            continue
        if out.resolve().is_relative_to(one.resolve()):
            found, remedy = f"a place in {one}, which is read", "Name a folder outside."
            raise AudioError(out, expected="a folder that is no input", found=found, remedy=remedy)
        files = audio_in(one, "recordings to read")
        below = Path() if len(inputs) == 1 else Path(one.resolve().name)
        for path in files.audio:
            _add(made, one / path, below / path, suffix_of)
        made.refused += [
            AudioError(one / path, expected="audio that is read", found=reason) for path, reason in files.refused
        ]
    return made


def _add(made: Plan, source: Path, relative: Path, suffix_of: Callable[[Path], str]) -> None:
    """Plan an output, unless another one goes to the same file."""
    out = made.folder / relative.with_name(relative.stem + suffix_of(relative))
    taken = next((job.source for job in made.jobs if job.out == out), None)
    if taken is None:
        made.jobs.append(Job(source, out))
    elif taken != source:
        found = f"{path_to_text(out)}, which is that of {path_to_text(taken)}"
        remedy = "Write it into another folder."
        made.refused.append(AudioError(source, expected="a place of its own", found=found, remedy=remedy))
