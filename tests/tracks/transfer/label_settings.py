"""Settings of stage transfer-labels, and tracks to label, for tests."""

from pathlib import Path

import numpy as np
import pandas as pd

from soundgate.audio.io import write_audio
from soundgate.tracks.transfer.labels.settings import LabelSettings

RATE = 22_050
SECTION = {
    "genre_schema": "folder",
    "csv": {"path": None, "sha256": None},
    "binary": {"by": "genre", "acoustic": ["classical", "jazz"], "beats": ["hiphop"]},
    "clap": {"labels": ["low", "high"], "prompt": "a {label} music track", "min_confidence": 0.0},
    "cluster": {"n_clusters": 2, "min_size": 1, "small": "abort"},
    "analysis": {"folder": None, "sha256": None},
    "mel": {},
    "chunks": {"duration_s": 3.0, "per_track": 2, "sampling": "uniform", "min_start_s": 0.0},
    "require_is_music": False,
    "music_threshold": 0.5,
    "require_min_sources_per_genre": 2,
    "on_few_sources": "error",
    "balance_sources_within_genre": False,
    "per_genre_samples": None,
}


def section(**changes) -> dict:
    """Return the section with changes; of a part's keys, those given."""
    return SECTION | {
        name: SECTION[name] | value if isinstance(value, dict) else value for name, value in changes.items()
    }


def settings(**changes) -> LabelSettings:
    return LabelSettings(**section(**changes))


def make_tracks(rows) -> pd.DataFrame:
    """Return tracks.parquet of rows (utt_id, genre, source, score_id)."""
    table = pd.DataFrame(rows, columns=["utt_id", "folder_genre", "source", "score_id"])
    return table.assign(track_id="id" + table["utt_id"], path="music/" + table["utt_id"] + ".wav", duration_s=5.0)


def write_tracks(folder: Path, n: int = 6) -> pd.DataFrame:
    """Write tracks of 5 s in turn low and high, each by one of two sources, and return their table."""
    rows = []
    for number in range(n):
        high = number % 2
        generator = np.random.default_rng(number)
        tones = (3_000, 4_000) if high else (150, 300)
        time = np.arange(5 * RATE) / RATE
        wav = sum(np.sin(2 * np.pi * tone * generator.uniform(0.9, 1.1) * time) for tone in tones)
        wav = 0.2 * wav + 0.005 * generator.standard_normal(len(time))
        path = folder / f"t{number}.wav"
        write_audio(path, wav, RATE)
        genre, source = ("low", "high")[high], f"s{number // 2 % 2}"
        rows.append((f"t{number}", f"id{number}", str(path), source, genre, "", 5.0))
    return pd.DataFrame(
        rows, columns=["utt_id", "track_id", "path", "source", "folder_genre", "score_id", "duration_s"]
    )
