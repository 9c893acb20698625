"""The index table of a corpus: one row for each usable file, and the list of those refused."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from soundgate.audio.io import read_audio
from soundgate.corpora.places import resolved, shown_path, stored_path
from soundgate.corpora.walking import Refused
from soundgate.runtime.console import logger
from soundgate.runtime.errors import AudioError, CorpusError, FormatError
from soundgate.runtime.execution import map_items
from soundgate.runtime.files import atomic_path, sha256_of

COLUMN_TYPES = {
    "utt_id": "str",
    "speaker_id": "str",
    "path": "str",
    "sha256": "str",
    "samples": "int64",
    "sample_rate": "int64",
    "channels": "int64",
    "duration_s": "float64",
    "note": "str",
}
REJECTED_COLUMNS = ["path", "reason"]
INDEX_NAME = "index.parquet"
REJECTED_NAME = "rejected.csv"
_ID_BYTES = 120
_ID_HASH_DIGITS = 8


class Entry(NamedTuple):
    """One file of a corpus before it was read.

    Args:
        utt_id: the utterance's wished-for name.
        speaker_id: who speaks (or plays).
        path: the audio file.
    """

    utt_id: str
    speaker_id: str
    path: Path


def build_index(
    entries: Iterable[Entry],
    description: str,
    folder: str | Path | None = None,
    refused: Iterable[Refused] = (),
    empty_ok: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read every file of a corpus and tabulate the usable ones.

    Args:
        entries: (utterance id, speaker id, path) of each file; ids are made safe for file names and unique.
        description: what the corpus is called in progress and errors.
        folder: of the corpus, where the tables will be; None for tables that are not written.
        refused: files that were not even listed, and why.
        empty_ok: whether no usable file is no error.

    Returns:
        The index, sorted by ``utt_id``, with the columns of ``COLUMN_TYPES`` (``path`` as `stored_path` names it;
        ``samples`` a channel), and the rejected files with reasons: what `read_audio` refuses, channels that cancel
        each other, content that another file already gave, and ``refused``.

    Raises:
        CorpusError: no usable file is left.
    """
    entries = sorted((Entry(*entry) for entry in entries), key=lambda entry: (entry.utt_id, str(entry.path)))
    rows, rejected, first_with = [], [], {}
    # Worker processes outlive a change of the working directory, so their paths are absolute.
    measured = map_items(_measure, [Path(entry.path).absolute() for entry in entries], description)
    for entry, facts in zip(entries, measured, strict=True):
        path = shown_path(entry.path, folder)
        if isinstance(facts, str):
            rejected.append((path, facts))
        elif facts["sha256"] in first_with:
            rejected.append((path, f"duplicate content of {first_with[facts['sha256']]}"))
        else:
            first_with[facts["sha256"]] = path
            stored = stored_path(entry.path, folder)
            rows.append({"utt_id": entry.utt_id, "speaker_id": entry.speaker_id, "path": stored} | facts)
    rejected += [(shown_path(path, folder), reason) for path, reason in refused]
    if not rows and not empty_ok:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in rejected[:3]) or "no files"
        raise CorpusError(description, expected="at least one usable audio file", found=reasons)
    if rejected:
        logger.warning("%s: %d of %d files rejected", description, len(rejected), len(rows) + len(rejected))
    if noted := sum(bool(row["note"]) for row in rows):
        logger.warning(
            "%s: %d files read as far as there is audio, see the notes in %s", description, noted, INDEX_NAME
        )
    for row, utt_id in zip(rows, unique_ids(row["utt_id"] for row in rows), strict=True):
        row["utt_id"] = utt_id
    index = pd.DataFrame(rows, columns=list(COLUMN_TYPES)).astype(COLUMN_TYPES)
    return index.sort_values("utt_id", ignore_index=True), pd.DataFrame(rejected, columns=REJECTED_COLUMNS)


def _measure(path: Path) -> dict | str:
    """Return a file's facts, or the reason why it must not be used."""
    try:
        audio = read_audio(path)
        sha256 = sha256_of(path)
    except AudioError as error:
        return error.found
    except OSError as error:
        return f"unreadable: {error.strerror}"
    channels, samples = audio.wav.shape
    if channels > 1 and not audio.wav.mean(axis=0, dtype="float64").any():
        return f"all zero: the {channels} channels cancel each other"
    return {
        "sha256": sha256,
        "samples": samples,
        "sample_rate": audio.sample_rate,
        "channels": channels,
        "duration_s": samples / audio.sample_rate,
        "note": audio.note,
    }


def safe_id(text: str) -> str:
    """Return an id usable as a file name: letters and digits of any script, ``.``, ``_``, ``-``, no dot in front.

    Blanks and ``/`` become ``_``. Where anything else is lost (``#``, a byte that is not UTF-8, what is beyond 120
    bytes), a hash of the text follows, so that names that differ there alone stay apart.
    """
    text = unicodedata.normalize("NFC", text)
    joined = re.sub(r"[\s/]+", "_", text)
    kept = re.sub("[\0_]*\0[\0_]*", "_", "".join(map(_kept, joined))).lstrip(".")
    if kept == joined and kept and len(kept.encode()) <= _ID_BYTES:
        return kept
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_ID_HASH_DIGITS]
    return f"{kept.encode()[: _ID_BYTES - _ID_HASH_DIGITS - 1].decode(errors='ignore') or '_'}-{digest}"


def _kept(character: str) -> str:
    """Return a character that an id may hold, or a zero; marks belong to the letter before them."""
    fit = character.isalnum() or character in "._-" or unicodedata.category(character).startswith("M")
    return character if fit else "\0"


def unique_ids(wished: Iterable[str]) -> list[str]:
    """Return safe ids in the given order, where a repeated one gets ``-2``, ``-3``, ...

    Args:
        wished: ids in a fixed order, which decides who keeps the bare name.

    Returns:
        As many ids, all different even on file systems that ignore case.
    """
    taken, result = set(), []
    for text in wished:
        base = candidate = safe_id(text)
        number = 1
        while _folded(candidate) in taken:
            number += 1
            candidate = f"{base}-{number}"
        taken.add(_folded(candidate))
        result.append(candidate)
    return result


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Return what files that belong to speakers or genres are called: different names for different ones."""
    names = sorted(set(names))
    return dict(zip(names, unique_ids(names), strict=True))


def _folded(name: str) -> str:
    """Return what file systems that ignore case and ways of writing a letter go by."""
    return unicodedata.normalize("NFKD", name).casefold()


def write_corpus(folder: str | Path, index: pd.DataFrame, rejected: pd.DataFrame) -> None:
    """Write ``index.parquet`` and ``rejected.csv`` (with its header even when empty) into a folder."""
    folder = Path(folder)
    with atomic_path(folder / INDEX_NAME) as temporary:
        index.to_parquet(temporary, index=False, compression="zstd")
    with atomic_path(folder / REJECTED_NAME) as temporary:
        rejected.to_csv(temporary, index=False, lineterminator="\n")


def record_corpus(
    folder: str | Path, index: pd.DataFrame, rejected: pd.DataFrame, description: str,
    files: str = "n_utterances", groups: str = "n_speakers",
) -> dict[str, int | float]:  # fmt: skip
    """Write a corpus's index and rejected files, count both and say so.

    Args:
        folder: of the corpus.
        index: from `build_index` or `nothing_acquired`.
        rejected: likewise.
        description: what the corpus is called in the log.
        files: what the count of files is called.
        groups: what the count of different speakers is called.

    Returns:
        Counts: ``files``, ``groups``, ``n_rejected``, ``duration_s`` (total).
    """
    write_corpus(folder, index, rejected)
    counts = {
        files: len(index),
        groups: int(index["speaker_id"].nunique()),
        "n_rejected": len(rejected),
        "duration_s": float(index["duration_s"].sum()),
    }
    logger.info("%s: %s", description, counts)
    return counts


def nothing_acquired(description: str, further_types: Mapping[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the index and the rejected files of a corpus of source ``none``, which `read_index` then refuses.

    Args:
        description: what the corpus is called in the log.
        further_types: columns beside ``COLUMN_TYPES`` that the corpus has, with their types.
    """
    logger.info("%s: nothing is acquired", description)
    types = COLUMN_TYPES | further_types
    return pd.DataFrame(columns=list(types)).astype(types), pd.DataFrame(columns=REJECTED_COLUMNS)


def read_index(folder: str | Path) -> pd.DataFrame:
    """Read a corpus's index and hold it against its format.

    Args:
        folder: what `write_corpus` wrote to.

    Returns:
        The index, sorted by ``utt_id``. Its paths lead from the working directory to the files; they are text, see
        `soundgate.runtime.paths.path_from_text`.

    Raises:
        FormatError: the file is missing or unreadable, a column is missing or of another type, or ids repeat.
        CorpusError: there are no rows, because nothing was acquired; the folder they are of is not there.
    """
    path = Path(folder) / INDEX_NAME
    try:
        index = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise FormatError(path, expected="an index table", found=str(error)) from error
    missing = [column for column in COLUMN_TYPES if column not in index]
    if missing:
        raise FormatError(path, expected=f"columns {list(COLUMN_TYPES)}", found=f"without {missing}")
    try:
        typed = index.astype(COLUMN_TYPES)
    except (TypeError, ValueError) as error:
        raise FormatError(path, expected=f"types {COLUMN_TYPES}", found=str(error)) from error
    if typed.empty:
        remedy = "Name a source other than none, or reuse what an earlier run made."
        raise CorpusError(path, expected="at least one file", found="no rows: nothing was acquired", remedy=remedy)
    if typed["utt_id"].duplicated().any() or index[list(COLUMN_TYPES)].isna().any(axis=None):
        raise FormatError(path, expected="rows with unique utt_id", found="repeats or gaps")
    for column in typed.columns.intersection(["path", "clean_path"]):
        typed[column] = resolved(folder, typed[column].fillna(""))
    return typed.sort_values("utt_id", ignore_index=True)
