"""The layouts of speech corpora, told by the names and places of their files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from soundgate.corpora.index import Entry
from soundgate.corpora.walking import Refused
from soundgate.runtime.console import logger
from soundgate.runtime.paths import path_to_text

_LIBRISPEECH = re.compile(r"(?P<speaker>\d+)-(?P<chapter>\d+)-\d+")
_LIBRITTS = re.compile(r"(?P<speaker>\d+)_(?P<chapter>\d+)_\d+(?:_\d+)?")
_VCTK = re.compile(r"(?P<speaker>[ps]\d+)_(?P<text>\d+)(?:_mic(?P<mic>\d))?")
_LJSPEECH = re.compile(r"LJ\d+-\d+")
_TIMIT_REGION = re.compile(r"DR\d", re.IGNORECASE)
_TIMIT_SPEAKER = re.compile(r"[FM][A-Z]{3}\d", re.IGNORECASE)
_VOXCELEB_SPEAKER = re.compile(r"id\d{5}")
_SUBSET = re.compile(r"(train|training|dev|test|valid|validation|val|eval)([-_. ].*)?", re.IGNORECASE)
# A layout holds for a folder where at least this share of its audio files fits; the others are strays.
_FITTING = 2 / 3


class Reading(NamedTuple):
    """A folder as a layout reads it.

    Args:
        layout: the layout's name.
        entries: of the files used, in the order of their paths.
        refused: files that are not used, with absolute or given roots, and why.
    """

    layout: str
    entries: list[Entry]
    refused: list[Refused]


# From the path of a file, links above it resolved, to its utterance and speaker; None where it does not fit.
Fit = Callable[[Path], tuple[str, str] | None]


def read_layout(root: Path, files: list[Path]) -> Reading:
    """Find out which layout a folder has and whose each of its files is.

    Args:
        root: the folder.
        files: its audio, relative to it, in order.
    """
    if reading := _common_voice(root, files):
        return reading
    real = root.resolve()
    for name, (fit, shape) in _LAYOUTS.items():
        fitting = {file: found for file in files if (found := fit(real / file))}
        if fitting and len(fitting) >= _FITTING * len(files):
            entries = [Entry(utt_id, speaker, root / file) for file, (utt_id, speaker) in fitting.items()]
            reason = f"not where the {name} layout of this folder has its files ({shape})"
            strays = [Refused(root / file, reason) for file in files if file not in fitting]
            kept = _one_microphone(root, entries) if name == "VCTK" else entries
            return Reading(name, kept, strays)
    return Reading("speaker folders", _plain(root, files), [])


def _librispeech(path: Path) -> tuple[str, str] | None:
    return _by_chapter(path, _LIBRISPEECH)


def _libritts(path: Path) -> tuple[str, str] | None:
    return _by_chapter(path, _LIBRITTS)


def _by_chapter(path: Path, pattern: re.Pattern[str]) -> tuple[str, str] | None:
    match, folders = pattern.fullmatch(path.stem), path.parts[-3:-1]
    if match and ((match["speaker"], match["chapter"]) == folders or match["speaker"] == folders[-1]):
        return path.stem, match["speaker"]
    return None


def _vctk(path: Path) -> tuple[str, str] | None:
    match = _VCTK.fullmatch(path.stem)
    below_wav = any(part.startswith("wav") for part in path.parts[:-1])
    if match and path.parent.name == match["speaker"] and (match["mic"] or below_wav):
        return path.stem, match["speaker"]
    return None


def _one_microphone(root: Path, entries: list[Entry]) -> list[Entry]:
    """Keep one recording of what two microphones recorded: the first one's where there is one."""
    first: dict[tuple[str, str, str], Entry] = {}
    for entry in sorted(entries):
        match = _VCTK.fullmatch(entry.path.stem)
        first.setdefault((str(entry.path.parent), match["speaker"], match["text"]), entry)
    kept = [entry for entry in entries if entry in set(first.values())]
    if len(kept) < len(entries):
        logger.info("%s: %d files of VCTK's second microphone left out", path_to_text(root), len(entries) - len(kept))
    return kept


def _ljspeech(path: Path) -> tuple[str, str] | None:
    if _LJSPEECH.fullmatch(path.stem) and path.parent.name == "wavs":
        return (path.stem, "LJ") if path.parent.parent.joinpath("metadata.csv").is_file() else None
    return None


def _timit(path: Path) -> tuple[str, str] | None:
    if _TIMIT_REGION.fullmatch(path.parent.parent.name) and _TIMIT_SPEAKER.fullmatch(path.parent.name):
        return f"{path.parent.name}-{path.stem}", path.parent.name
    return None


def _voxceleb(path: Path) -> tuple[str, str] | None:
    speaker = path.parent.parent.name
    if _VOXCELEB_SPEAKER.fullmatch(speaker) and path.stem.isdigit():
        return f"{speaker}-{path_to_text(path.parent.name)}-{path.stem}", speaker
    return None


def _common_voice(root: Path, files: list[Path]) -> Reading | None:
    """Read clips as their tables say: whose they are, and, of tables of votes, which are valid."""
    inside = [file for file in files if (root.resolve() / file).parent.name == "clips"]
    tables = {folder: _votes(folder) for folder in sorted({(root / file).parent.parent for file in inside})}
    entries, refused = [], []
    for file in inside:
        votes = tables[(root / file).parent.parent]
        if votes is None:
            continue
        speaker, table = votes.get(file.name) or votes.get(file.stem) or ("", "")
        if table in ("", "invalidated.tsv"):
            reason = f"not valid: it stands in {table}" if table else "in none of the tables beside its clips folder"
            refused.append(Refused(root / file, reason))
        else:
            entries.append(Entry(file.stem, path_to_text(speaker), root / file))
    read = len(entries) + len(refused)
    if not entries or read < _FITTING * len(files):
        return None
    known = {entry.path for entry in entries} | {one.path for one in refused}
    reason = "not where the Common Voice layout of this folder has its files (clips)"
    refused += [Refused(root / file, reason) for file in files if root / file not in known]
    _say_missing(root, tables, files)
    return Reading("Common Voice", entries, refused)


def _votes(folder: Path) -> dict[str, tuple[str, str]] | None:
    """Return the speaker and the table of each clip; None where no table beside the clips names speakers."""
    found: dict[str, tuple[str, str]] = {}
    tables = sorted(path for path in folder.glob("*.tsv") if path.is_file())
    # The first table that names a clip counts; what is not voted on yet stands in other.tsv.
    order = ["validated.tsv", "train.tsv", "dev.tsv", "test.tsv", "other.tsv"]
    tables.sort(key=lambda path: (order.index(path.name) if path.name in order else len(order), path.name))
    any_table = False
    for path in tables:
        try:
            table = pd.read_csv(
                path, sep="\t", dtype=str, quoting=3, keep_default_na=False, encoding="utf-8-sig",
                usecols=lambda name: name in ("client_id", "path"),
            )  # fmt: skip
        except ValueError as error:
            logger.warning("%s: no table of Common Voice: %s", path_to_text(path), error)
            continue
        if {"client_id", "path"} <= set(table):
            any_table = True
            for speaker, clip in zip(table["client_id"], table["path"], strict=True):
                found.setdefault(clip, (speaker, path.name))
    return found if any_table else None


def _say_missing(root: Path, tables: dict[Path, dict | None], files: list[Path]) -> None:
    present = {name for file in files for name in (file.name, file.stem)}
    missing = sorted(clip for votes in tables.values() for clip in votes or () if clip not in present)
    if missing:
        text = "%s: %d clips of the tables are not there, the first is %s"
        logger.warning(text, path_to_text(root), len(missing), missing[0])


def _plain(root: Path, files: list[Path]) -> list[Entry]:
    own_name = root.resolve().name or "root"
    level = _speaker_level(files)
    entries = []
    for file in files:
        speaker = file.parts[level] if len(file.parts) > level + 1 else own_name
        name = path_to_text("-".join((*file.parts[:-1], file.stem)))
        entries.append(Entry(name, path_to_text(speaker), root / file))
    return entries


def _speaker_level(files: list[Path]) -> int:
    """Return which folder level names speakers: the second where the first has the names of subsets alone."""
    first = Counter(file.parts[0] for file in files if len(file.parts) > 1)
    subsets = first and all(_SUBSET.fullmatch(name) for name in first)
    return 1 if subsets and sum(len(file.parts) > 2 for file in files) >= _FITTING * len(files) else 0


_LAYOUTS: dict[str, tuple[Fit, str]] = {
    "LibriSpeech": (_librispeech, "speaker/chapter/speaker-chapter-number"),
    "LibriTTS": (_libritts, "speaker/chapter/speaker_chapter_paragraph_utterance"),
    "VCTK": (_vctk, "wav48*/speaker/speaker_number_mic"),
    "LJSpeech": (_ljspeech, "wavs/LJnnn-nnnn beside metadata.csv"),
    "TIMIT": (_timit, "TRAIN or TEST/DRn/speaker"),
    "VoxCeleb": (_voxceleb, "idNNNNN/video/NNNNN"),
}
