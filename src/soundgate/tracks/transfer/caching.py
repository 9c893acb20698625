"""Builds the cache of chunks: splits, log-mel spectrograms, and speech as what is not music."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from soundgate.audio.mel import FLOOR_DB, MelSettings, MelTransform
from soundgate.corpora.index import REJECTED_COLUMNS, REJECTED_NAME
from soundgate.runtime.config import Section
from soundgate.runtime.console import logger
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.execution import map_items
from soundgate.runtime.files import atomic_path
from soundgate.runtime.paths import path_from_text
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.cache import CHUNK_COLUMNS, write_cache
from soundgate.tracks.transfer.chunks import SHORTEST_S, STAGE, ChunkSettings, chunk_starts, chunk_wavs
from soundgate.tracks.transfer.splits import SplitFractions, split_groups

PARTS = "parts"


class CacheSettings(Section):
    """Section ``transfer.cache``.

    Args:
        mel: the spectrogram.
        chunks: of each track.
        split: shares of the groups.
        n_non_music: utterances of speech that the music gate learns from and is measured on.
    """

    mel: MelSettings
    chunks: ChunkSettings
    split: SplitFractions
    n_non_music: int = Field(ge=0)


class _Track(NamedTuple):
    """The work of one item."""

    path: Path
    starts: list[float]
    part: Path


def build_cache(
    settings: CacheSettings,
    labels: pd.DataFrame,
    durations: dict[str, float],
    speech: pd.DataFrame,
    seed: int,
    work: Path,
    out: Path,
) -> dict:
    """Cut every labelled track and some speech into chunks and cache their spectrograms.

    Args:
        settings: see `CacheSettings`.
        labels: the labels table; rows not kept are left out.
        durations: s, by track_id.
        speech: index of the speech corpus.
        seed: of the draws.
        work: finished tracks are kept here, so that a killed run goes on.
        out: the cache's folder; ``rejected.csv`` there names speech that is too short, and why.

    Returns:
        Counts: ``n_chunks`` by split, ``n_tracks``, ``n_silent`` (chunks left out), ``n_non_music``, ``n_rejected``.

    Raises:
        CorpusError: no labelled track is left.
    """
    music = labels[labels["kept"]].copy()
    if music.empty:
        raise CorpusError("transfer-labels", expected="at least one kept track", found="none")
    music["group"] = music["score_id"].where(music["score_id"] != "", music["track_id"])
    music["split"] = music["group"].map(_split_of_groups(music, settings.split, seed))
    music["duration_s"] = music["track_id"].map(durations)
    short = speech["duration_s"] < SHORTEST_S
    tracks = pd.concat([_music_rows(music), _speech_rows(speech[~short], settings, seed)], ignore_index=True)
    starts = [
        chunk_starts(row.duration_s, settings.chunks, seed, row.group) if row.is_music else [0.0]
        for row in tracks.itertuples()
    ]
    (work / PARTS).mkdir(parents=True, exist_ok=True)
    items = [
        _Track(path_from_text(row.path).absolute(), start, (work / PARTS / f"{row.track_id}.npy").absolute())
        for row, start in zip(tracks.itertuples(), starts, strict=True)
    ]
    parts = list(map_items(partial(_cache_track, settings), items, "log-mel spectrograms"))
    audible = np.concatenate([_is_audible(np.load(part)) for part in parts])
    index = _explode(tracks, starts)[audible].reset_index(drop=True)
    mels = (np.load(part) for part in parts)
    write_cache(out, index, (own[_is_audible(own)] for own in mels))
    _write_rejected(out, speech[short])
    counts = {
        "n_tracks": len(music),
        "n_chunks": {split: int(n) for split, n in index[index["is_music"]]["split"].value_counts().items()},
        "n_non_music": int((~index["is_music"]).sum()),
        "n_silent": int((~audible).sum()),
        "n_rejected": int(short.sum()),
    }
    logger.info("transfer-cache: %s", counts)
    return counts


def _is_audible(mels: np.ndarray) -> np.ndarray:
    return mels.max(axis=(1, 2)) > FLOOR_DB


def _split_of_groups(music: pd.DataFrame, fractions: SplitFractions, seed: int) -> pd.Series:
    strata = music.groupby("group")["genre"].agg(lambda genres: "+".join(sorted(set(genres))))
    return split_groups(strata, fractions, seed, STAGE)


def _music_rows(music: pd.DataFrame) -> pd.DataFrame:
    genres, sources = sorted(music["genre"].unique()), sorted(music["source"].unique())
    return music.assign(
        is_music=True, genre_code=music["genre"].map(genres.index), source_code=music["source"].map(sources.index)
    ).sort_values("utt_id")


def _speech_rows(speech: pd.DataFrame, settings: CacheSettings, seed: int) -> pd.DataFrame:
    count = min(settings.n_non_music, len(speech))
    chosen = np.sort(keyed_generator(seed, STAGE, "non-music").permutation(len(speech))[:count])
    rows = speech.iloc[chosen].reset_index(drop=True)
    speakers = pd.Series("speech", index=sorted(rows["speaker_id"].unique()))
    splits = split_groups(speakers, settings.split, seed, STAGE)
    return pd.DataFrame(
        {
            "track_id": rows["sha256"].str[:16],
            "utt_id": rows["utt_id"],
            "path": rows["path"],
            "genre": "",
            "genre_code": -1,
            "source": rows["speaker_id"],
            "source_code": -1,
            "score_id": "",
            "group": rows["speaker_id"],
            "is_music": False,
            "split": rows["speaker_id"].map(splits),
            "duration_s": rows["duration_s"],
        }
    )


def _write_rejected(out: Path, speech: pd.DataFrame) -> None:
    if len(speech):
        logger.warning("%s: %d utterances left out, see %s", STAGE, len(speech), REJECTED_NAME)
    reasons = [f"too short: {seconds:.6f} s, needed are {SHORTEST_S:g}" for seconds in speech["duration_s"]]
    with atomic_path(out / REJECTED_NAME) as temporary:
        speech.assign(reason=reasons)[REJECTED_COLUMNS].to_csv(temporary, index=False, lineterminator="\n")


def _explode(tracks: pd.DataFrame, starts: list[list[float]]) -> pd.DataFrame:
    """Return one row for each chunk, in the order of the tracks."""
    table = tracks.loc[tracks.index.repeat([len(own) for own in starts])].reset_index(drop=True)
    table["chunk"] = [number for own in starts for number in range(len(own))]
    table["start_s"] = [start for own in starts for start in own]
    table["chunk_id"] = table["utt_id"] + "#" + table["chunk"].astype(str)
    return table[CHUNK_COLUMNS].astype({"is_music": bool, "genre_code": "int64", "source_code": "int64"})


def _cache_track(settings: CacheSettings, item: _Track) -> Path:
    """Write one track's spectrograms, float16 [n, n_mels, F], unless a killed run did."""
    if not item.part.is_file():
        wavs = chunk_wavs(item.path, item.starts, settings.chunks.duration_s, settings.mel.sample_rate)
        mels = MelTransform(settings.mel)(torch.from_numpy(wavs)).numpy().astype(np.float16)
        with atomic_path(item.part) as temporary:
            np.save(temporary, mels)
    return item.part
