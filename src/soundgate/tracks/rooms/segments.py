"""Dry clips on disk: int16 shards, and the table that says what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import read_json, sha256_of

STATE_NAME = "sterilise_state.json"
SEGMENTS_NAME = "segments.parquet"
FULL_SCALE = 32767


@dataclass(frozen=True)
class Segments:
    """The dry clips of a finished folder.

    Args:
        folder: where they are.
        table: one row for each clip: segment_id, source, utt_id, speaker_id, shard, row, valid_samples, gain.
        sample_rate: Hz.
        samples: length of a clip.
        rows: segment id to (shard, row, gain).
    """

    folder: Path
    table: pd.DataFrame
    sample_rate: int
    samples: int
    rows: Mapping[str, tuple[str, int, float]]

    def segment(self, segment_id: str) -> np.ndarray:
        """Read one clip, float32 [samples], zero after its ``valid_samples``; its peak may exceed 1."""
        shard, row, gain = self.rows[segment_id]
        stored = np.load(self.folder / shard, mmap_mode="r")[row]
        return stored.astype(np.float32) * np.float32(gain / FULL_SCALE)


def load_segments(folder: str | Path, verify: bool = False) -> Segments:
    """Open what `sterilise` wrote.

    Args:
        folder: the output of stage ``rooms-sterilise``.
        verify: whether to hash every shard first.

    Raises:
        FormatError: a file is missing, the work is not finished, or a shard is not the one that was written.
    """
    folder = Path(folder)
    try:
        state, table = read_json(folder / STATE_NAME), pd.read_parquet(folder / SEGMENTS_NAME)
    except (OSError, ValueError) as error:
        raise FormatError(folder, expected="sterilised segments", found=str(error)) from error
    if state["state"] not in ("complete", "halted"):
        raise FormatError(folder / STATE_NAME, expected="complete or halted", found=state["state"])
    for name, facts in state["shards"].items() if verify else ():
        if (found := hash_or_reason(folder / name)) != facts["sha256"]:
            raise FormatError(folder / name, expected=f"sha256 {facts['sha256']}", found=found)
    places = zip(table["shard"], table["row"].tolist(), table["gain"].tolist(), strict=True)
    rows = dict(zip(table["segment_id"], places, strict=True))
    return Segments(folder, table, state["sample_rate"], state["clip_samples"], rows)


def hash_or_reason(path: Path) -> str:
    """Return a file's SHA-256, or that there is no such file."""
    return sha256_of(path) if path.is_file() else "no such file"
