"""A corpus of speech from a folder of audio files: known layouts are recognised, any other is speaker folders."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from soundgate.corpora.file_types import EXTENSIONS
from soundgate.corpora.index import Entry
from soundgate.corpora.layouts import read_layout
from soundgate.corpora.places import check_folder
from soundgate.corpora.walking import Files, Refused, find_files
from soundgate.runtime.console import logger
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.paths import path_to_text


class Listed(NamedTuple):
    """What a folder holds.

    Args:
        entries: of the files to be used, in the order of their paths.
        refused: files that are not used, and why.
        layout: what the folder is taken for.
    """

    entries: list[Entry]
    refused: list[Refused]
    layout: str


def folder_entries(root: str | Path) -> Listed:
    """List the audio files under a folder with their speakers.

    The layouts of `soundgate.corpora.layouts` are recognised where two thirds of the audio files fit; the others are
    refused. Of any other folder the first level names the speaker (the second, where the first is ``train``,
    ``test``, ... alone), and files directly under the root belong to a speaker named after the root.

    Args:
        root: searched to any depth, links followed; hidden files and folders are skipped.

    Raises:
        CorpusError: the root is missing, not a folder, or holds no audio file.
    """
    files = audio_in(root, "audio files")
    reading = read_layout(files.root, files.audio)
    speakers = len({entry.speaker_id for entry in reading.entries})
    text = "%s: %s layout, %d files of %d speakers"
    logger.info(text, path_to_text(files.root), reading.layout, len(reading.entries), speakers)
    return Listed(reading.entries, sorted(reading.refused + refused_in(files)), reading.layout)


def audio_in(root: str | Path, content: str, extensions: frozenset[str] = EXTENSIONS) -> Files:
    """Return the files of a folder that holds at least one audio file, and say how many are no audio.

    Args:
        root: see `find_files`.
        content: what should be in it, for messages.
        extensions: see `find_files`.

    Raises:
        CorpusError: the root is missing, not a folder, or holds no audio file.
    """
    files = find_files(check_folder(root, content), extensions)
    say_no_audio(files)
    if not files.audio:
        raise no_audio_error(files, content, extensions)
    return files


def no_audio_error(files: Files, content: str, extensions: frozenset[str]) -> CorpusError:
    """Return the error of a folder without audio that can be read, with the first files of those refused."""
    reasons = "; ".join(f"{path_to_text(path)}: {reason}" for path, reason in files.refused[:3])
    found = f"none, and {len(files.refused)} that cannot be read: {reasons}" if reasons else "none"
    expected = f"{content} ({' '.join(sorted(extensions))})"
    return CorpusError(files.root, expected=expected, found=found, remedy="Name the folder that holds the audio.")


def say_no_audio(files: Files) -> None:
    """Log how many files of a folder are plainly no audio, and how many are hidden."""
    if files.no_audio:
        kinds = ", ".join(f"{count} {kind}" for kind, count in files.no_audio.most_common(8))
        logger.info("%s: %d files are no audio (%s)", path_to_text(files.root), files.no_audio.total(), kinds)
    if files.hidden:
        text = "%s: %d hidden files and folders are skipped, the first is %s"
        logger.info(text, path_to_text(files.root), len(files.hidden), path_to_text(files.hidden[0]))


def refused_in(files: Files) -> list[Refused]:
    """Return the refused files of a folder with the folder in their paths."""
    return [one._replace(path=files.root / one.path) for one in files.refused]
