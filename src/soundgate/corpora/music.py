"""The music corpus of a profile, from whichever source its settings name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field, field_validator, model_validator

from soundgate.corpora.folder import audio_in, refused_in
from soundgate.corpora.generated_music import (
    GeneratedMusic,
    Rendering,
    generate_music,
    plan_renderings,
    read_music_source,
)
from soundgate.corpora.index import Entry, build_index, record_corpus
from soundgate.corpora.places import resolved, stored_path
from soundgate.corpora.scores import BEAT_TYPES, NOTE_TYPES, STAGE
from soundgate.corpora.walking import Refused
from soundgate.runtime.config import Section
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import atomic_path
from soundgate.runtime.paths import path_to_text
from soundgate.runtime.randomness import keyed_generator

AUDIO_FOLDER = "audio"
TRACKS_NAME = "tracks.parquet"
UNKNOWN_SOURCE = "unknown"
TRACK_COLUMNS = ["utt_id", "track_id", "path", "source", "folder_genre", "score_id", "duration_s"]
_TRACK_ID_DIGITS = 16


class MusicSettings(Section):
    """Where a music corpus comes from and how much of it is used.

    Args:
        source: ``generated`` (scores in styles by sources) or ``folder`` (the user's files, ``genre/track``).
        origin: the source's dependency: a source list (generated) or the folder itself.
        n_scores: how many scores (generated).
        sources_per_style: how many renderings of a score in each style, each by another source (generated).
        duration_s: of each rendering (generated).
        styles: names of the source list's styles to render; none takes all (generated).
        confounded: whether each style is left to one source of its own, for audits that must notice (generated).
        max_tracks: how many files to use, by a keyed draw; None takes all (folder).
        source_pattern: regular expression whose one group finds the source in a file's name, the source being
            ``unknown`` where it is not found; None takes the first folder level for the source (folder).
        seed: of every draw.
    """

    source: Literal["generated", "folder"]
    origin: str = Field(min_length=1)
    n_scores: int | None = Field(default=None, ge=1, le=10_000)
    sources_per_style: int = Field(default=2, ge=1)
    duration_s: float = Field(default=10.0, ge=1, le=600)
    styles: list[str] = Field(default_factory=list)
    confounded: bool = False
    max_tracks: int | None = Field(default=None, ge=1)
    source_pattern: str | None = None
    seed: int = Field(ge=0)

    @field_validator("source_pattern")
    @classmethod
    def _has_one_group(cls, pattern: str | None) -> str | None:
        try:
            groups = 1 if pattern is None else re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"source_pattern: no regular expression: {error}") from error
        if groups != 1:
            raise ValueError(f"source_pattern: {groups} groups, needed is 1")
        return pattern

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> MusicSettings:
        if self.source == "generated" and self.n_scores is None:
            raise ValueError("source 'generated' needs n_scores")
        if len(set(self.styles)) < len(self.styles):
            raise ValueError("styles: names repeat")
        return self


def build_music_corpus(settings: MusicSettings, out_folder: str | Path) -> dict:
    """Build a music corpus.

    Written are ``index.parquet`` and ``rejected.csv`` of any corpus (with the source as the speaker),
    ``tracks.parquet`` (the columns of ``TRACK_COLUMNS``; ``track_id`` from the file's content), and the truth
    of generated scores, ``notes.parquet`` and ``beats.parquet``, which are empty where none is known.

    Args:
        settings: the source and its size.
        out_folder: the corpus; generated audio goes to ``audio`` inside, files of a user's folder stay where
            they are.

    Returns:
        Counts: ``n_tracks``, ``n_sources``, ``n_rejected``, ``duration_s`` (total).

    Raises:
        CorpusError: the source has no usable audio.
        ConfigError: the source list is wrong.
    """
    out_folder, refused = Path(out_folder), []
    if settings.source == "generated":
        music = _generated(settings, out_folder / AUDIO_FOLDER)
    else:
        music, refused = music_entries(settings)
    description = f"music ({settings.source})"
    index, rejected = build_index(music.entries, description, out_folder, refused)
    tracks = _track_table(index, music, out_folder)
    for name, table in {"tracks": tracks, "notes": music.notes, "beats": music.beats}.items():
        with atomic_path(out_folder / f"{name}.parquet") as temporary:
            table.to_parquet(temporary, index=False, compression="zstd")
    return record_corpus(out_folder, index, rejected, description, "n_tracks", "n_sources")


def _generated(settings: MusicSettings, audio: Path) -> GeneratedMusic:
    source_list = read_music_source(settings.origin)
    styles = settings.styles or list(source_list.styles)
    renderings = plan_renderings(
        source_list, styles, settings.n_scores, settings.sources_per_style, settings.confounded
    )
    return generate_music(audio, source_list, renderings, settings.seed, settings.duration_s)


def music_entries(settings: MusicSettings) -> tuple[GeneratedMusic, list[Refused]]:
    """List the audio files under a folder: the first folder level is the genre, the source as the settings say.

    Returns:
        The files to be used, with no truth, and those that are not.

    Raises:
        CorpusError: the folder is missing or holds no audio.
    """
    found = audio_in(settings.origin, "music")
    root, files = found.root, found.audio
    if settings.max_tracks is not None and settings.max_tracks < len(files):
        order = keyed_generator(settings.seed, STAGE, "tracks").permutation(len(files))
        files = [files[position] for position in sorted(order[: settings.max_tracks])]
    entries, renderings = [], []
    for file in files:
        genre = path_to_text(file.parts[0]) if len(file.parts) > 1 else ""
        own = genre or path_to_text(root.resolve().name)
        source = _source_of(file, settings.source_pattern) if settings.source_pattern else own
        utt_id = path_to_text("-".join((*file.parts[:-1], file.stem)))
        entries.append(Entry(utt_id, source, root / file))
        renderings.append(Rendering(utt_id, "", genre, source))
    empty = (pd.DataFrame(columns=list(types)).astype(types) for types in (NOTE_TYPES, BEAT_TYPES))
    return GeneratedMusic(entries, renderings, *empty), refused_in(found)


def read_tracks(folder: str | Path) -> pd.DataFrame:
    """Read ``tracks.parquet`` of a music corpus, its paths leading from the working directory as `read_index`'s do.

    Raises:
        FormatError: it is missing or no such table.
        CorpusError: the folder that the tracks are of is not there.
    """
    path = Path(folder) / TRACKS_NAME
    try:
        tracks = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise FormatError(path, expected="a table of tracks", found=str(error)) from error
    if missing := [column for column in TRACK_COLUMNS if column not in tracks]:
        raise FormatError(path, expected=f"columns {TRACK_COLUMNS}", found=f"without {missing}")
    return tracks.assign(path=resolved(folder, tracks["path"]))


def _source_of(file: Path, pattern: str) -> str:
    match = re.search(pattern, file.name)
    return path_to_text((match and match[1]) or UNKNOWN_SOURCE)


def _track_table(index: pd.DataFrame, music: GeneratedMusic, out_folder: Path) -> pd.DataFrame:
    known = {stored_path(entry.path, out_folder): r for entry, r in zip(music.entries, music.renderings, strict=True)}
    renderings = [known[path] for path in index["path"]]
    tracks = pd.DataFrame(
        {
            "utt_id": index["utt_id"],
            "track_id": index["sha256"].str[:_TRACK_ID_DIGITS],
            "path": index["path"],
            "source": index["speaker_id"],
            "folder_genre": [rendering.style for rendering in renderings],
            "score_id": [rendering.score_id for rendering in renderings],
            "duration_s": index["duration_s"],
        }
    )
    return tracks[TRACK_COLUMNS]
