"""A pool of room impulse responses, from whichever source its settings name."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from soundgate.corpora.archived import fetch_archive, keep_files, moved
from soundgate.corpora.file_types import EXTENSIONS
from soundgate.corpora.folder import Listed, no_audio_error, refused_in, say_no_audio
from soundgate.corpora.generated_rooms import STAGE, generate_rooms
from soundgate.corpora.index import Entry, build_index, nothing_acquired, record_corpus, unique_ids
from soundgate.corpora.places import check_folder, stored_path
from soundgate.corpora.walking import find_files
from soundgate.runtime.console import logger
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.paths import path_to_text
from soundgate.runtime.randomness import keyed_generator

AUDIO_FOLDER = "audio"
ROOM_EXTENSIONS = EXTENSIONS | {".irs"}
TRUTH_TYPES = {"rt60_true_s": "float64"}


class RoomsSettings(BaseModel):
    """Where a pool of rooms comes from and how much of it is used.

    Args:
        name: the pool: ``bad`` rooms to get away from, ``target`` rooms to aim at.
        source: ``generated`` (simulated), ``folder`` (the user's files), ``mit_survey`` (a download) or ``none``
            (nothing is acquired, because an earlier run's catalogue is reused).
        origin: the source's dependency: a source list (generated, mit_survey), the folder itself, or for ``none``
            any file.
        patterns: shell patterns of paths below the folder, one of which a file must match; none takes all.
        room_of: what makes a room of a folder: each ``file``, or each ``folder`` that holds several.
        n_rooms: how many rooms to use; None takes all (not for ``generated``).
        seed: of every draw.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["bad", "target"]
    source: Literal["generated", "folder", "mit_survey", "none"]
    origin: str = Field(min_length=1)
    patterns: list[str] = Field(default_factory=list)
    room_of: Literal["file", "folder"] = "file"
    n_rooms: int | None = Field(default=None, ge=1)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> RoomsSettings:
        if self.source == "generated" and self.n_rooms is None:
            raise ValueError("source 'generated' needs n_rooms")
        if self.source == "generated" and self.patterns:
            raise ValueError("patterns are for files that are there, not for source 'generated'")
        return self


def build_room_corpus(settings: RoomsSettings, out_folder: str | Path, work_folder: str | Path) -> dict:
    """Build a pool of rooms: its audio where the source makes it, ``index.parquet`` and ``rejected.csv``.

    The index has the columns of any corpus, with the response's id in ``utt_id`` and the room's in
    ``speaker_id``, and ``rt60_true_s``: the known reverberation time in seconds, NaN where none is known.

    Args:
        settings: the source and its size.
        out_folder: the corpus; generated and downloaded audio goes to ``audio`` inside, files of a user's
            folder stay where they are.
        work_folder: downloads are kept here, so that a killed run goes on where it was.

    Returns:
        Counts: ``n_irs``, ``n_rooms``, ``n_rejected``, ``duration_s`` (total).

    Raises:
        CorpusError: the source has no usable audio, or fewer rooms than asked for.
        ConfigError: a source list is wrong.
        DownloadError: the archive cannot be had as its source list promises.
    """
    description = f"{settings.name} rooms ({settings.source})"
    if settings.source == "none":
        index, rejected = nothing_acquired(description, TRUTH_TYPES)
    else:
        index, rejected = _acquired(settings, Path(out_folder), work_folder, description)
    return record_corpus(out_folder, index, rejected, description, files="n_irs", groups="n_rooms")


def _acquired(
    settings: RoomsSettings, out_folder: Path, work_folder: str | Path, description: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    rt60_s: dict[Path, float] = {}
    refused, audio = [], out_folder / AUDIO_FOLDER
    if settings.source == "generated":
        entries, rt60_s = generate_rooms(audio, settings.origin, settings.name, settings.seed, settings.n_rooms)
    elif settings.source == "folder":
        listed = room_entries(settings.origin, settings.patterns, settings.room_of)
        entries, refused = _chosen(listed.entries, settings), listed.refused
    else:
        root = fetch_archive(settings.origin, work_folder)
        listed = room_entries(root, settings.patterns, settings.room_of)
        entries, refused = (
            keep_files(_chosen(listed.entries, settings), root, audio),
            moved(listed.refused, root, audio),
        )
    index, rejected = build_index(entries, description, out_folder, refused)
    known = {stored_path(path, out_folder): value for path, value in rt60_s.items()}
    index["rt60_true_s"] = index["path"].map(known)
    return index.astype(TRUTH_TYPES), rejected


def room_entries(root: str | Path, patterns: list[str], room_of: Literal["file", "folder"]) -> Listed:
    """List the impulse responses under a folder with their rooms.

    A response is named after its file's stem, or its folder and stem where several files share the stem.

    Args:
        root: searched to any depth, links followed; hidden files and folders are skipped.
        patterns: of paths relative to the root, with forward slashes; ``*`` also matches slashes.
        room_of: see `RoomsSettings`.

    Returns:
        The entries in the order of their paths, and what matches but is not used; what does not match is counted in
        the log.

    Raises:
        CorpusError: the root is missing, or no audio file in it matches.
    """
    root, unmatched = check_folder(root, "impulse responses"), Counter()

    def matches(path: Path) -> bool:
        hit = not patterns or any(fnmatchcase(path.as_posix(), pattern) for pattern in patterns)
        unmatched[path.suffix.lower() or "no extension"] += not hit
        return hit

    found = find_files(root, ROOM_EXTENSIONS, matches)
    if unmatched.total():
        kinds = ", ".join(f"{count} {kind}" for kind, count in unmatched.most_common(8) if count)
        logger.info("%s: %d files match no pattern (%s)", path_to_text(root), unmatched.total(), kinds)
    say_no_audio(found)
    if not found.audio:
        content = f"files that match {' or '.join(patterns)}" if patterns else "impulse responses"
        raise no_audio_error(found, content, ROOM_EXTENSIONS)
    return Listed(_with_rooms(root, found.audio, room_of), refused_in(found), "impulse responses")


def _with_rooms(root: Path, files: list[Path], room_of: str) -> list[Entry]:
    stems, folders = [path_to_text(file.stem) for file in files], Counter(file.parent for file in files)
    own_name, count_of = path_to_text(root.resolve().name), Counter(stems)
    full = [f"{path_to_text(file.parent.name) or own_name}-{stem}" for file, stem in zip(files, stems, strict=True)]
    ids = unique_ids(stem if count_of[stem] == 1 else name for stem, name in zip(stems, full, strict=True))
    shared = sorted(folder for folder, count in folders.items() if count > 1 and room_of == "folder")
    rooms = dict(
        zip(shared, unique_ids(path_to_text("-".join(folder.parts)) or own_name for folder in shared), strict=True)
    )
    return [Entry(ir_id, rooms.get(file.parent, ir_id), root / file) for file, ir_id in zip(files, ids, strict=True)]


def _chosen(entries: list[Entry], settings: RoomsSettings) -> list[Entry]:
    """Cap the rooms by a keyed draw, so that the choice is always the same."""
    rooms = sorted({entry.speaker_id for entry in entries})
    wanted = settings.n_rooms or len(rooms)
    if wanted > len(rooms):
        raise CorpusError(settings.origin, expected=f"n_rooms = {wanted}", found=f"{len(rooms)} rooms")
    order = keyed_generator(settings.seed, STAGE, "rooms").permutation(len(rooms))
    kept = {rooms[position] for position in order[:wanted]}
    return [entry for entry in entries if entry.speaker_id in kept]
