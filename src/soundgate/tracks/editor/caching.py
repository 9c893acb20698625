"""Builds the cache of pairs: frames, targets and beats, and on demand the files of the seed's layout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from soundgate.audio.io import read_audio
from soundgate.runtime.config import Section
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.execution import map_items
from soundgate.runtime.files import atomic_path
from soundgate.runtime.npz import write_npz
from soundgate.tracks.editor.beats import track_beats
from soundgate.tracks.editor.cache import BEAT_COLUMNS, COLUMNS, write_cache
from soundgate.tracks.editor.edit_list import EditList, Tone
from soundgate.tracks.editor.features import Features, FeatureSettings, seed_normalised
from soundgate.tracks.editor.grid import Grid, beat_grid, plays_of
from soundgate.tracks.editor.pairs.table import truth_of
from soundgate.tracks.editor.rendering import pieces_of
from soundgate.tracks.editor.timeline import from_labels, target_on_raw_timeline

EXPORT_FOLDER = "export"


class CacheSettings(Section):
    """Section ``editor.cache``.

    Args:
        features: see `FeatureSettings`.
        max_beat_s: a longer beat is split into equal parts; a recording without beats has only such parts.
        export: whether to write the seed's files too, below ``export``.
        seed_normalisation: whether the spectrograms of the export are scaled file by file, as the seed does; training
            never is.
        tempo_bpm: centre of the tracker's tempo prior, for the export's beats of edits whose edit list is not known.
    """

    features: FeatureSettings
    max_beat_s: float = Field(gt=0)
    export: bool
    seed_normalisation: bool
    tempo_bpm: float = Field(gt=20, lt=400)


class _Pair(NamedTuple):
    """The work of one item.

    Args:
        row: of the table of pairs.
        starts: of its labelled spans, samples of the raw recording.
        labels: of these.
        part: the file to write.
        export: folder of the seed's files; None for none.
    """

    row: tuple
    starts: np.ndarray
    labels: np.ndarray
    part: Path
    export: Path | None


@dataclass(frozen=True)
class _Part:
    """A finished pair's arrays, read when they are asked for."""

    path: Path

    def __getitem__(self, name: str) -> np.ndarray:
        with np.load(self.path) as arrays:
            return arrays[name]


class Edited(NamedTuple):
    """A pair's edit, in samples at the edit list's rate.

    Args:
        edit: the true edit list, or the one that the labels describe.
        spans: int64 [n, 2], what is labelled.
        labels: int64 [n].
    """

    edit: EditList
    spans: np.ndarray
    labels: np.ndarray


def build_cache(settings: CacheSettings, pairs: pd.DataFrame, labels: pd.DataFrame, work: Path, out: Path) -> dict:
    """Cache every pair.

    Args:
        settings: see `CacheSettings`.
        pairs: from `read_pairs`.
        labels: the table of labels: ``pair_id``, ``starts`` and ``labels``.
        work: finished pairs are kept here, so that a killed run goes on.
        out: the cache's folder.

    Returns:
        Counts: ``n_pairs`` and ``n_beats`` by split, ``n_known``, ``hours``, and the shares of the raw recordings'
        values ``at_ceiling`` and ``at_floor``.

    Raises:
        CorpusError: no pairs, or one without labels.
        AudioError: a recording cannot be read.
    """
    known = labels.set_index("pair_id")
    missing = sorted(set(pairs["pair_id"]) - set(known.index))
    if missing or pairs.empty:
        found = f"none for {', '.join(missing[:3])}" if missing else "no pairs"
        raise CorpusError("editor-labels", expected="labels of every pair", found=found)
    export = (out / EXPORT_FOLDER).absolute() if settings.export else None
    items = [
        _Pair(
            row,
            np.asarray(known["starts"][row.pair_id], np.int64),
            np.asarray(known["labels"][row.pair_id], np.int64),
            (work / "parts" / f"{row.pair_id}.npz").absolute(),
            export,
        )
        for row in pairs.itertuples()
    ]
    parts = [_Part(path) for path in map_items(partial(_cache_pair, settings), items, "log-mel features")]
    table = pd.DataFrame(
        {
            **{name: pairs[name].to_numpy() for name in ("pair_id", "group", "split", "raw_path", "edit_path")},
            "known": (pairs["edit_list"] != "").to_numpy(),
        }
    )
    for name in BEAT_COLUMNS:
        table[name] = [part[name] for part in parts]
    table["n_frames"] = [int(edges[-1]) for edges in table["edges"]]
    table["n_beats"] = table["labels"].map(len)
    table = table[[*COLUMNS, *BEAT_COLUMNS]]
    write_cache(out, settings.features, table, parts)
    return _counts(table, parts, settings.features)


def edited(row, starts: np.ndarray, labels: np.ndarray, sample_rate: int) -> Edited:
    """Return what is done to a pair.

    Args:
        row: of the table of pairs.
        starts: of the labelled spans, samples of the raw recording.
        labels: of these.
        sample_rate: Hz, of the edit list that the labels describe where the truth is not known. What EFFECT does is
            then not known either: it changes nothing.
    """
    truth = truth_of(row)
    rate = sample_rate if truth is None else row.sample_rate
    ends = np.append(starts, row.raw_samples)
    if truth is None:
        ends = np.rint(ends * (rate / row.sample_rate)).astype(np.int64)
    spans = np.stack([ends[:-1], ends[1:]], axis=1)
    return Edited(from_labels(labels, spans, rate, Tone()) if truth is None else truth[0], spans, labels)


def edited_beats_s(edit: EditList, spans: np.ndarray) -> np.ndarray:
    """Return when an edit's beats are heard, float64 [n] seconds, rising: those of the raw recording that it plays."""
    starts = [
        piece.position + own - piece.segment.start
        for piece in pieces_of(edit)
        for own in spans[:, 0][(spans[:, 0] >= piece.segment.start) & (spans[:, 0] < piece.segment.stop)]
    ]
    return np.asarray(starts, np.float64) / edit.sample_rate


def _cache_pair(settings: CacheSettings, item: _Pair) -> Path:
    """Write one pair's arrays, unless a killed run did; the export before them, so that it is there as well."""
    if not item.part.is_file():
        features = Features(settings.features)
        done = edited(item.row, item.starts, item.labels, settings.features.sample_rate)
        raw_db = features.decibels(_read(item.row.raw_path, settings))
        # Samples of the edit list from frame to frame.
        hop = settings.features.hop_length * done.edit.sample_rate / settings.features.sample_rate
        grid = beat_grid(done.spans, hop, len(raw_db), round(settings.max_beat_s * done.edit.sample_rate))
        if item.export is not None:
            _export(settings, item, features, done, grid, raw_db)
        target_db = target_on_raw_timeline(raw_db.T, done.edit, hop, settings.features.floor_db, features.centres_hz).T
        arrays = {
            "raw": features.from_db(raw_db).astype(np.float16),
            "target": features.from_db(target_db).astype(np.float16),
            "edges": grid.edges,
            "labels": done.labels[grid.source],
            "plays": plays_of(done.edit, grid.spans),
            "seconds": ((grid.spans[:, 1] - grid.spans[:, 0]) / done.edit.sample_rate).astype(np.float32),
        }
        with atomic_path(item.part) as temporary:
            write_npz(temporary, arrays)
    return item.part


def _export(
    settings: CacheSettings, item: _Pair, features: Features, done: Edited, grid: Grid, raw_db: np.ndarray
) -> None:
    """Write the seed's files: ``features/<pair_id>_{raw,edit}.npz`` and ``labels/<pair_id>_labels.npy``."""
    edit_wav = _read(item.row.edit_path, settings)
    if item.row.edit_list:
        edit_beats = edited_beats_s(done.edit, done.spans)
    else:
        rate = settings.features.sample_rate
        edit_beats = track_beats(edit_wav, rate, settings.tempo_bpm) / rate
    beats = {"raw": done.spans[:, 0] / done.edit.sample_rate, "edit": edit_beats}
    for kind, db in {"raw": raw_db, "edit": features.decibels(edit_wav)}.items():
        mel = seed_normalised(db) if settings.seed_normalisation else features.from_db(db)
        with atomic_path(item.export / "features" / f"{item.row.pair_id}_{kind}.npz") as temporary:
            write_npz(temporary, {"mel": mel, "beat_times": beats[kind]})
    with atomic_path(item.export / "labels" / f"{item.row.pair_id}_labels.npy") as temporary:
        np.save(temporary, np.repeat(done.labels[grid.source], np.diff(grid.edges)))


def _read(path: str, settings: CacheSettings) -> np.ndarray:
    return read_audio(path, settings.features.sample_rate, mono=True).wav[0]


def _counts(table: pd.DataFrame, parts: list, settings: FeatureSettings) -> dict:
    limits = np.array([[np.sum(part["raw"] == limit) for limit in (1, 0)] for part in parts])
    at_ceiling, at_floor = limits.sum(axis=0) / (table["n_frames"].sum() * settings.n_mels)
    by_split = table.groupby("split")
    return {
        "n_pairs": {split: int(n) for split, n in by_split.size().items()},
        "n_beats": {split: int(n) for split, n in by_split["n_beats"].sum().items()},
        "n_known": int(table["known"].sum()),
        "hours": round(float(table["n_frames"].sum() * settings.hop_length / settings.sample_rate / 3600), 4),
        "at_ceiling": float(at_ceiling),
        "at_floor": float(at_floor),
    }
