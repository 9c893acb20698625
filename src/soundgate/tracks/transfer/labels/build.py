"""Labels of a music corpus: genres from whichever source the settings name, then which tracks are used."""

from __future__ import annotations

import pandas as pd

from soundgate.runtime.console import logger
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.ledger import Ledger
from soundgate.tracks.transfer.audit.confounding import confounding
from soundgate.tracks.transfer.chunks import SHORTEST_S
from soundgate.tracks.transfer.content.model import ContentModel
from soundgate.tracks.transfer.labels.balance import balance_sources, cap_genres, require_sources
from soundgate.tracks.transfer.labels.cluster import UNASSIGNED, cluster_vectors, target_vectors
from soundgate.tracks.transfer.labels.listening import listen
from soundgate.tracks.transfer.labels.outside import no_analysis
from soundgate.tracks.transfer.labels.schemas import binary_acoustic_beats, from_csv, from_folder
from soundgate.tracks.transfer.labels.settings import LabelSettings
from soundgate.tracks.transfer.labels.table import drop, open_table
from soundgate.tracks.transfer.labels.zero_shot import AudioTextModel, zero_shot

NOT_MUSIC = "not music"
TOO_SHORT = "too short"
SMALL_CLUSTER = "small cluster"


def build_labels(
    settings: LabelSettings,
    tracks: pd.DataFrame,
    seed: int,
    *,
    clap: AudioTextModel | None = None,
    analysis: ContentModel | None = None,
    ledger: Ledger | None = None,
) -> tuple[pd.DataFrame, dict]:
    """Label every track and choose those that are used.

    Args:
        settings: see `LabelSettings`.
        tracks: tracks.parquet of the music corpus.
        seed: of the draws.
        clap: for schema ``clap``.
        analysis: a finished Lab 1, on the CPU, for the music gate and for clusters.
        ledger: keeps what was heard, so that a killed run goes on.

    Returns:
        The table (`soundgate.tracks.transfer.labels.table.LABEL_COLUMNS`), one row a track, sorted by utt_id,
        confidence 0 where there is no genre; and the report, see `_report`.

    Raises:
        ConfigError: the music gate is asked for without a Lab 1.
        CorpusError: fewer than two genres are left, or one of too few sources, or a cluster is too small.
        FormatError: a CSV that cannot be used.
        AudioError: a file cannot be read.
    """
    ledger = ledger or Ledger()
    table = _long_enough(open_table(tracks))
    table = _only_music(table, settings, analysis, seed, ledger) if settings.require_is_music else table
    table, findings = _with_genres(table, settings, seed, clap, analysis, ledger)
    few = require_sources(table, settings.require_min_sources_per_genre, settings.on_few_sources)
    if settings.balance_sources_within_genre:
        table = balance_sources(table, seed)
    if settings.per_genre_samples is not None:
        table = cap_genres(table, settings.per_genre_samples, seed)
    report = _report(settings, table, few) | findings
    if len(report["genres"]) < 2:
        found = f"{', '.join(report['genres']) or 'none'}; dropped: {report['dropped'] or 'nothing'}"
        raise CorpusError("transfer.labels", expected="tracks of at least two genres", found=found)
    logger.info("transfer-labels: %s; Cramér's V of genre and source %s", report["genres"], report["confounding"])
    return table.drop(columns=["folder_genre", "duration_s", "group"]), report


def _long_enough(table: pd.DataFrame) -> pd.DataFrame:
    reasons = f"{TOO_SHORT}: " + table["duration_s"].map("{:.3f} s".format)
    table = drop(table, table["duration_s"] < SHORTEST_S, reasons)
    if not table["kept"].any():
        raise CorpusError("transfer.labels", expected=f"tracks of {SHORTEST_S:g} s or more", found="none")
    return table


def _only_music(
    table: pd.DataFrame, settings: LabelSettings, analysis: ContentModel | None, seed: int, ledger: Ledger
) -> pd.DataFrame:
    if analysis is None:
        raise no_analysis()
    heard = table[table["kept"]]
    music = pd.Series(1.0, table.index)
    music.loc[heard.index] = listen(heard, analysis, settings.mel, settings.chunks, seed, ledger).music
    table = drop(table, music < settings.music_threshold, f"{NOT_MUSIC}: " + music.map("{:.3f}".format))
    if not table["kept"].any():
        found = f"none of {len(table)} tracks"
        raise CorpusError("transfer.labels", expected="something that Lab 1 takes for music", found=found)
    return table


def _with_genres(
    table: pd.DataFrame,
    settings: LabelSettings,
    seed: int,
    clap: AudioTextModel | None,
    analysis: ContentModel | None,
    ledger: Ledger,
) -> tuple[pd.DataFrame, dict]:
    """Return the labelled table and what the report has to say of the schema."""
    match settings.genre_schema:
        case "folder":
            return from_folder(table), {}
        case "csv":
            table, unmatched = from_csv(table, settings.csv)
            return table, {"unmatched_csv_rows": unmatched}
        case "binary_acoustic_beats":
            table, unknown = binary_acoustic_beats(table, settings.binary)
            return table, {"mapped_but_absent": unknown}
        case "clap":
            assert clap is not None
            return zero_shot(table, clap, settings.clap, settings.chunks, seed, ledger), {}
        case "cluster":
            return _clustered(table, settings, analysis, seed, ledger)


def _clustered(
    table: pd.DataFrame, settings: LabelSettings, analysis: ContentModel | None, seed: int, ledger: Ledger
) -> tuple[pd.DataFrame, dict]:
    kept = table.index[table["kept"]]
    heard = listen(table.loc[kept], analysis, settings.mel, settings.chunks, seed, ledger)
    clusters = cluster_vectors(target_vectors(heard.descriptor, heard.style), settings.cluster, seed)
    number = pd.Series(UNASSIGNED, index=table.index)
    number.loc[kept] = clusters.labels
    confidence = pd.Series(0.0, index=table.index)
    confidence.loc[kept] = clusters.confidence
    genre = ("cluster_" + number.astype(str)).where(number != UNASSIGNED, "")
    table = table.assign(genre=genre, confidence=confidence)
    return drop(table, number == UNASSIGNED, SMALL_CLUSTER), {"cluster_sizes": clusters.sizes}


def _report(settings: LabelSettings, table: pd.DataFrame, few: dict[str, list[str]]) -> dict:
    """Return the counts of kept tracks, what was dropped and why, and how far genre and source are one."""
    kept = table[table["kept"]]
    return {
        "genre_schema": settings.genre_schema,
        "n_tracks": len(table),
        "n_kept": len(kept),
        "n_dropped": len(table) - len(kept),
        "genres": _counts(kept["genre"]),
        "sources": _counts(kept["source"]),
        "genre_by_source": {genre: _counts(own["source"]) for genre, own in kept.groupby("genre")},
        "genres_of_few_sources": few,
        "dropped": _counts(table.loc[~table["kept"], "reason"].str.split(":").str[0]),
        "mean_confidence": float(kept["confidence"].mean()) if len(kept) else None,
        "confounding": confounding(kept["genre"].to_numpy(), kept["source"].to_numpy()),
    }


def _counts(values: pd.Series) -> dict[str, int]:
    return {name: int(count) for name, count in values.value_counts().sort_index().items()}
