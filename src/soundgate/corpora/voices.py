"""A corpus of dry voices, from whichever source its settings name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from soundgate.corpora.archived import fetch_archive, keep_files, moved
from soundgate.corpora.folder import folder_entries
from soundgate.corpora.index import build_index, nothing_acquired, record_corpus
from soundgate.corpora.noisy_voices import AUDIO_FOLDER, VoiceTruth, generate_voices
from soundgate.corpora.places import stored_path
from soundgate.corpora.speech import choose_entries

TRUTH_TYPES = {"clean_path": "str", "noise_snr_db": "float64"}


class VoicesSettings(BaseModel):
    """Where a corpus of dry voices comes from and how much of it is used.

    Args:
        name: of the corpus.
        source: ``generated`` (espeak-ng with hum and hiss), ``folder`` (the user's files), ``ljspeech`` or
            ``vctk`` (downloads), or ``none`` (nothing is acquired, because an earlier run's vocals are reused).
        origin: the source's dependency: a source list, the folder itself, or for ``none`` any file.
        n_speakers: how many speakers to use; None takes all (not for ``generated``).
        n_utterances: how many utterances of each speaker; None takes all (not for ``generated``).
        seed: of every draw.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    source: Literal["generated", "folder", "ljspeech", "vctk", "none"]
    origin: str = Field(min_length=1)
    n_speakers: int | None = Field(default=None, ge=1)
    n_utterances: int | None = Field(default=None, ge=1)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> VoicesSettings:
        if self.source == "generated" and (self.n_speakers is None or self.n_utterances is None):
            raise ValueError("source 'generated' needs n_speakers and n_utterances")
        return self


def build_voice_corpus(settings: VoicesSettings, out_folder: str | Path, work_folder: str | Path) -> dict:
    """Build a corpus of voices: its audio where the source makes it, ``index.parquet`` and ``rejected.csv``.

    The index has the columns of any corpus, and ``clean_path`` (the same without noise, the file itself where
    none was added, ``""`` where none is known) and ``noise_snr_db`` (of the noise added, in dB over active
    frames; NaN where none was added or nothing is known).

    Args:
        settings: the source and its size.
        out_folder: the corpus; generated and downloaded audio goes to ``audio`` and ``clean`` inside, files of
            a user's folder stay where they are.
        work_folder: downloads are kept here, so that a killed run goes on where it was.

    Returns:
        Counts: ``n_utterances``, ``n_speakers``, ``n_rejected``, ``duration_s`` (total).

    Raises:
        CorpusError: the source has no usable audio, or fewer speakers than asked for.
        ConfigError: a source list is wrong.
        DownloadError: the archive cannot be had as its source list promises.
    """
    description = f"voices {settings.name} ({settings.source})"
    if settings.source == "none":
        index, rejected = nothing_acquired(description, TRUTH_TYPES)
    else:
        index, rejected = _acquired(settings, Path(out_folder), work_folder, description)
    return record_corpus(out_folder, index, rejected, description)


def _acquired(
    settings: VoicesSettings, out_folder: Path, work_folder: str | Path, description: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    truth: dict[Path, VoiceTruth] = {}
    refused = []
    if settings.source == "generated":
        caps = settings.n_speakers, settings.n_utterances
        entries, truth = generate_voices(out_folder, settings.origin, settings.seed, *caps)
    elif settings.source == "folder":
        listed = folder_entries(settings.origin)
        entries, refused = choose_entries(listed.entries, settings), listed.refused
    else:
        root, audio = fetch_archive(settings.origin, work_folder), out_folder / AUDIO_FOLDER
        listed = folder_entries(root)
        entries = keep_files(choose_entries(listed.entries, settings), root, audio)
        refused = moved(listed.refused, root, audio)
    index, rejected = build_index(entries, description, out_folder, refused)
    known = {stored_path(path, out_folder): value for path, value in truth.items()}
    found = [known.get(path, VoiceTruth(None, math.nan)) for path in index["path"]]
    index["clean_path"] = [stored_path(value.clean_path, out_folder) if value.clean_path else "" for value in found]
    index["noise_snr_db"] = [value.noise_snr_db for value in found]
    return index.astype(TRUTH_TYPES), rejected
