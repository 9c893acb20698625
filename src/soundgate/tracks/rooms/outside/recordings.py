"""Which recordings the outside judge is asked about: noisy ones and clean ones, of as many speakers as there are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from soundgate.corpora.index import INDEX_NAME, read_index
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.rooms.outside.settings import OutsideSettings
from soundgate.tracks.rooms.segments import Segments
from soundgate.tracks.rooms.sterilise import FILES_NAME

STAGE = "rooms-outside"
NOISY, CLEAN = "noisy", "clean"
COLUMNS = ["source", "utt_id", "speaker_id", "path", "sample_rate", "clean_path", "noise_snr_db", "kind", "heard"]


def known_recordings(
    voices: str | Path, segments: Segments, noisy_below_db: float, min_rate: int, min_s: float
) -> pd.DataFrame:
    """Tell noisy from clean recordings, by what was added where that is known, else by the estimate.

    A recording whose noise was added but lies above the limit is neither and left out.

    Args:
        voices: folder of the corpora, whose sub-folders are the sources.
        segments: what was made of them.
        noisy_below_db: see `OutsideSettings`.
        min_rate: Hz below which the judge lacks the band that it listens to.
        min_s: the shortest speech that it rates.

    Returns:
        ``COLUMNS``, one row a recording of which there are clips. ``speaker_id`` is unique over sources;
        ``clean_path`` is empty where no truth is known, and ``noise_snr_db`` nan; ``heard``: whether rate and length
        suffice.

    Raises:
        FormatError: a table is damaged.
    """
    files = pd.read_parquet(segments.folder / FILES_NAME)
    files = files.loc[files["outcome"] == "kept", ["source", "utt_id", "speaker_id", "snr_before_db"]]
    speech_s = segments.table.groupby(["source", "utt_id"])["valid_samples"].sum() / segments.sample_rate
    table = files.merge(_indexed(Path(voices)), on=["source", "utt_id"])
    table = table.merge(speech_s.rename("speech_s").reset_index(), on=["source", "utt_id"])
    known = table["clean_path"] != ""
    added = table["noise_snr_db"] < noisy_below_db
    estimated = table["snr_before_db"] < noisy_below_db
    noisy = added.where(known, estimated)
    clean = (table["clean_path"] == table["path"]).where(known, ~estimated)
    table["kind"] = noisy.map({True: NOISY, False: ""}).mask(clean, CLEAN)
    rate = table["sample_rate"].clip(upper=segments.sample_rate)
    table["heard"] = (rate >= min_rate) & (table["speech_s"] >= min_s)
    return table.loc[table["kind"] != "", COLUMNS].reset_index(drop=True)


def no_recordings() -> pd.DataFrame:
    """Return what `known_recordings` has where the recordings are elsewhere."""
    return pd.DataFrame(columns=COLUMNS).astype({"heard": bool})


def choose(table: pd.DataFrame, settings: OutsideSettings) -> pd.DataFrame:
    """Draw the recordings that are judged, speaker by speaker, and again from the first once each had a turn.

    Args:
        table: from `known_recordings`.
        settings: how many of either kind.

    Returns:
        Rows of the table.
    """
    heard = table[table["heard"]]
    drawn = [_turns(heard[heard["kind"] == kind], kind, settings.seed, count)
             for kind, count in ((NOISY, settings.n_noisy), (CLEAN, settings.n_clean))]  # fmt: skip
    return table.loc[[row for rows in drawn for row in rows]].reset_index(drop=True)


def _turns(table: pd.DataFrame, kind: str, seed: int, count: int) -> list[int]:
    order = keyed_generator(seed, STAGE, kind).permutation(len(table))
    had: Counter[str] = Counter()
    turns = []
    for place, (row, speaker) in enumerate(table["speaker_id"].iloc[order].items()):
        turns.append((had[speaker], place, row))
        had[speaker] += 1
    return [row for _, _, row in sorted(turns)[:count]]


def _indexed(voices: Path) -> pd.DataFrame:
    columns = ["source", "utt_id", "path", "sample_rate", "clean_path", "noise_snr_db"]
    found = [pd.DataFrame(columns=columns)]
    for folder in sorted(path.parent for path in voices.glob(f"*/{INDEX_NAME}")):
        index = read_index(folder)
        found.append(index.reindex(columns=columns[1:]).assign(source=folder.name)[columns])
    table = pd.concat([one for one in found if len(one)] or found, ignore_index=True)
    return table.assign(clean_path=table["clean_path"].fillna(""))
