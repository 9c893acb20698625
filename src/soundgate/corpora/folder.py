"""A corpus from a folder of audio files: known layouts are recognised, any other is speaker folders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from soundgate.corpora.index import Entry
from soundgate.runtime.console import logger
from soundgate.runtime.errors import CorpusError

EXTENSIONS = frozenset(".wav .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .w64 .rf64 .caf .au".split())
_LIBRISPEECH = re.compile(r"(?P<speaker>\d+)-(?P<chapter>\d+)-\d+")
_VCTK = re.compile(r"(?P<speaker>[ps]\d+)_\d+(?:_mic(?P<mic>\d))?")
_LJSPEECH = re.compile(r"LJ\d+-\d+")


def folder_entries(root: str | Path) -> list[Entry]:
    """List the audio files under a folder with their speakers.

    LibriSpeech (``speaker/chapter/speaker-chapter-NNNN.flac``, with or without the chapter folder), VCTK
    (``wav48*/pNNN/pNNN_NNN*.flac``; of two microphones only ``_mic1`` is kept) and LJSpeech (``wavs/LJ*.wav``
    beside ``metadata.csv``) are recognised when every audio file fits. Otherwise the first folder level names
    the speaker, and files directly under the root belong to a speaker named after the root.

    Args:
        root: searched to any depth, links followed; hidden files and folders are skipped.

    Returns:
        The entries in the order of their paths.

    Raises:
        CorpusError: the root is missing, not a folder, or holds no audio file.
    """
    root = Path(root)
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise CorpusError(root, expected="a folder with audio files", found=found)
    files = sorted(audio_files(root))
    if not files:
        raise CorpusError(
            root,
            expected=f"audio files ({' '.join(sorted(EXTENSIONS))})",
            found="none",
            remedy="Name the folder that holds the audio.",
        )
    layouts: dict[str, Callable[[Path, list[Path]], list[Entry] | None]] = {
        "LibriSpeech": _librispeech,
        "VCTK": _vctk,
        "LJSpeech": _ljspeech,
        "speaker folders": _plain,
    }
    for name, read in layouts.items():
        entries = read(root, files)
        if entries is not None:
            speakers = len({entry.speaker_id for entry in entries})
            logger.info("%s: %s layout, %d files of %d speakers", root, name, len(entries), speakers)
            return entries
    raise AssertionError("the plain layout takes any folder")


def audio_files(root: Path, extensions: frozenset[str] = EXTENSIONS) -> Iterator[Path]:
    """Yield paths under ``root``, relative to it; each folder once, however many links lead to it.

    Args:
        root: links in it are followed; hidden files and folders are skipped.
        extensions: in lower case, with their dots.
    """
    seen = set()
    for folder, children, names in os.walk(root, followlinks=True):
        identity = os.stat(folder).st_dev, os.stat(folder).st_ino
        if identity in seen:
            children.clear()
            continue
        seen.add(identity)
        children[:] = sorted(child for child in children if not child.startswith("."))
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in extensions:
                yield Path(folder, name).relative_to(root)


def _librispeech(root: Path, files: list[Path]) -> list[Entry] | None:
    entries = []
    for file in files:
        match = _LIBRISPEECH.fullmatch(file.stem)
        folders = (root.resolve() / file).parts[-3:-1]
        if not match or (match["speaker"], match["chapter"]) != folders and match["speaker"] != folders[-1]:
            return None
        entries.append(Entry(file.stem, match["speaker"], root / file))
    return entries


def _vctk(root: Path, files: list[Path]) -> list[Entry] | None:
    matches = [_VCTK.fullmatch(file.stem) for file in files]
    for file, match in zip(files, matches, strict=True):
        if not match or file.parent.name != match["speaker"]:
            return None
        if not any(part.startswith("wav48") for part in (root / file).parts):
            return None
    kept = [(file, match) for file, match in zip(files, matches, strict=True) if match["mic"] in (None, "1")]
    if len(kept) < len(files):
        logger.info("%s: %d files of VCTK's second microphone left out", root, len(files) - len(kept))
    return [Entry(file.stem, match["speaker"], root / file) for file, match in kept] or None


def _ljspeech(root: Path, files: list[Path]) -> list[Entry] | None:
    for file in files:
        beside = (root / file).parent.parent / "metadata.csv"
        if not _LJSPEECH.fullmatch(file.stem) or (root / file).parent.name != "wavs" or not beside.is_file():
            return None
    return [Entry(file.stem, "LJ", root / file) for file in files]


def _plain(root: Path, files: list[Path]) -> list[Entry]:
    own_name = root.resolve().name or "root"
    entries = []
    for file in files:
        speaker = file.parts[0] if len(file.parts) > 1 else own_name
        entries.append(Entry("-".join((*file.parts[:-1], file.stem)), speaker, root / file))
    return entries
