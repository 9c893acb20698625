"""The layouts of speech corpora, told by the names and places of their files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path, PurePath
from typing import NamedTuple

import pandas as pd

from soundgate.corpora.file_types import EXTENSIONS
from soundgate.corpora.index import Entry
from soundgate.corpora.walking import Refused
from soundgate.runtime.console import logger
from soundgate.runtime.paths import path_to_text

_LIBRISPEECH = re.compile(r"(?P<speaker>\d+)-(?P<chapter>\d+)-\d+")
_LIBRITTS = re.compile(r"(?P<speaker>\d+)_(?P<chapter>\d+)_\d+(?:_\d+)?")
_VCTK = re.compile(r"(?P<speaker>[ps]\d+)_(?P<text>\d+)(?:_mic(?P<mic>\d))?")
_MICROPHONE = re.compile(r"_mic\d$")
_LJSPEECH = re.compile(r"LJ\d+-\d+")
_TIMIT_REGION = re.compile(r"DR\d", re.IGNORECASE)
_TIMIT_SPEAKER = re.compile(r"[FM][A-Z]{3}\d", re.IGNORECASE)
_VOXCELEB_SPEAKER = re.compile(r"id\d{5}")
_SUBSET = re.compile(r"(train|training|dev|test|valid|validation|val|eval)([-_. ].*)?", re.IGNORECASE)
# Layouts hold for a folder where at least this share of its audio files fits; the others are strays.
_FITTING = 2 / 3


class Reading(NamedTuple):
    """A folder as a layout reads it.

    Args:
        layout: the layout's name; of several side by side all of them.
        entries: of the files used, in the order of their paths.
        refused: files that are not used, with absolute or given roots, and why.
    """

    layout: str
    entries: list[Entry]
    refused: list[Refused]


# From the path of a file, links above it resolved, to its utterance and speaker; None where it does not fit.
Fit = Callable[[Path], tuple[str, str] | None]


def read_layout(root: Path, files: list[Path]) -> Reading:
    """Find out which layout a folder has and whose each of its files is; several corpora may lie side by side.

    Args:
        root: the folder.
        files: its audio, relative to it, in order.
    """
    real = root.resolve()
    clips, refused = _common_voice(root, files)
    found = {file: ("Common Voice", *clip) for file, clip in clips.items()}
    voted = {one.path for one in refused}
    for file in files:
        fitting = ((name, fit(real / file)) for name, (fit, _) in _LAYOUTS.items())
        if file not in found and root / file not in voted and (hit := next(filter(itemgetter(1), fitting), None)):
            found[file] = hit[0], *hit[1]
    if not found or len(found) + len(refused) < _FITTING * len(files):
        return Reading("speaker folders", _plain(root, files), [])
    names = sorted({name for name, _, _ in found.values()})
    shapes = " or ".join(_LAYOUTS[name][1] if name in _LAYOUTS else "clips" for name in names)
    reason = f"not where the {' and '.join(names)} layout of this folder has its files ({shapes})"
    refused += [Refused(root / file, reason) for file in files if file not in found and root / file not in voted]
    entries = [Entry(*found[file][1:], root / file) for file in files if file in found]
    return Reading(" and ".join(names), _one_of_each(root, entries), refused)


def _one_of_each(root: Path, entries: list[Entry]) -> list[Entry]:
    """Keep one recording of each utterance: a second microphone, format or rate is no further one."""
    first: dict[tuple[str, str], Entry] = {}
    for entry in sorted(entries):
        first.setdefault((entry.speaker_id, _MICROPHONE.sub("", entry.utt_id)), entry)
    kept = set(first.values())
    if len(kept) < len(entries):
        text = "%s: %d files left out, recordings of the same utterances (second microphone, other format or rate)"
        logger.info(text, path_to_text(root), len(entries) - len(kept))
    return [entry for entry in entries if entry in kept]


def _stem(path: Path) -> str:
    """Return a file's name without its extension, or several where it was converted (``SA1.WAV.wav``)."""
    name = path.stem
    while PurePath(name).suffix.lower() in EXTENSIONS:
        name = PurePath(name).stem
    return name


def _librispeech(path: Path) -> tuple[str, str] | None:
    return _by_chapter(path, _LIBRISPEECH)


def _libritts(path: Path) -> tuple[str, str] | None:
    return _by_chapter(path, _LIBRITTS)


def _by_chapter(path: Path, pattern: re.Pattern[str]) -> tuple[str, str] | None:
    match, folders = pattern.fullmatch(_stem(path)), path.parts[-3:-1]
    if match and ((match["speaker"], match["chapter"]) == folders or match["speaker"] == folders[-1]):
        return _stem(path), match["speaker"]
    return None


def _vctk(path: Path) -> tuple[str, str] | None:
    match = _VCTK.fullmatch(_stem(path))
    below_wav = any(part.startswith("wav") for part in path.parts[:-1])
    if match and path.parent.name == match["speaker"] and (match["mic"] or below_wav):
        return _stem(path), match["speaker"]
    return None


def _ljspeech(path: Path) -> tuple[str, str] | None:
    if _LJSPEECH.fullmatch(_stem(path)) and path.parent.name == "wavs":
        return (_stem(path), "LJ") if path.parent.parent.joinpath("metadata.csv").is_file() else None
    return None


def _timit(path: Path) -> tuple[str, str] | None:
    if _TIMIT_REGION.fullmatch(path.parent.parent.name) and _TIMIT_SPEAKER.fullmatch(path.parent.name):
        return f"{path.parent.name}-{_stem(path)}", path.parent.name
    return None


def _voxceleb(path: Path) -> tuple[str, str] | None:
    speaker = path.parent.parent.name
    if _VOXCELEB_SPEAKER.fullmatch(speaker) and _stem(path).isdigit():
        return f"{speaker}-{path_to_text(path.parent.name)}-{_stem(path)}", speaker
    return None


def _common_voice(root: Path, files: list[Path]) -> tuple[dict[Path, tuple[str, str]], list[Refused]]:
    """Read clips as their tables say: whose they are, and, of tables of votes, which are valid."""
    real = root.resolve()
    inside = [file for file in files if (real / file).parent.name == "clips"]
    tables = {folder: _votes(folder) for folder in sorted({(root / file).parent.parent for file in inside})}
    clips, refused = {}, []
    for file in inside:
        votes = tables[(root / file).parent.parent]
        if votes is None:
            continue
        speaker, table = votes.get(_stem(file), ("", ""))
        if table in ("", "invalidated.tsv"):
            reason = f"not valid: it stands in {table}" if table else "in none of the tables beside its clips folder"
            refused.append(Refused(root / file, reason))
        else:
            clips[file] = _stem(file), path_to_text(speaker)
    if not clips:
        return {}, []
    _say_missing(root, tables, inside)
    return clips, refused


def _votes(folder: Path) -> dict[str, tuple[str, str]] | None:
    """Return the speaker and the table of each clip; None where no table beside the clips names speakers.

    A clip goes by its name without folders and extension: tables name MP3s also where these were converted.
    """
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
        except (OSError, ValueError) as error:
            logger.warning("%s: no table of Common Voice: %s", path_to_text(path), error)
            continue
        if {"client_id", "path"} <= set(table):
            any_table = True
            for speaker, clip in zip(table["client_id"], table["path"], strict=True):
                found.setdefault(_stem(Path(clip)), (speaker, path.name))
    return found if any_table else None


def _say_missing(root: Path, tables: dict[Path, dict | None], files: list[Path]) -> None:
    present = {_stem(file) for file in files}
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
