"""Which unseen chunks are transferred to which genre, and which other music each is held against."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.audit.score_truth import PITCHED, score_chroma
from soundgate.tracks.transfer.cache import ChunkCache

STAGE = "transfer-outside"
_FRAME_RATE = 100.0


class Clip(NamedTuple):
    """A source, where it is to go, and what it must not be taken for.

    Args:
        row: of the chunk cache.
        source_genre: of the row.
        target_genre: another.
        other: row of another group, whose chord material is the most different one among the sources; None where
            there is no other group.
    """

    row: int
    source_genre: str
    target_genre: str
    other: int | None


def draw_clips(cache: ChunkCache, notes: pd.DataFrame, n_sources: int, duration_s: float, seed: int) -> list[Clip]:
    """Draw test chunks: group by group, so that independent units are as many as can be, and pairs of genres in turn.

    Args:
        cache: the chunks.
        notes: of all scores, empty where they are unknown; then the other music is any of another group.
        n_sources: how many, at most.
        duration_s: of a chunk as it is heard.
        seed: of the draws.
    """
    generator = keyed_generator(seed, STAGE, "clips")
    index, free = cache.index, list(cache.rows("test"))
    genre, group = index["genre"].to_numpy(), index["group"].to_numpy()
    pairs = [(first, second) for first in cache.genres for second in cache.genres if first != second]
    pairs = [pairs[at] for at in generator.permutation(len(pairs))]
    groups = generator.permutation(np.unique(group[free]))
    drawn: list[tuple[int, str]] = []
    while pairs and free and len(drawn) < n_sources:
        wanted, target = pairs[len(drawn) % len(pairs)]
        own = [row for row in free if group[row] == groups[len(drawn) % len(groups)]] or free
        row = int(generator.choice([row for row in own if genre[row] == wanted] or own))
        targets = [name for name in cache.genres if name != genre[row]]
        drawn.append((row, target if target in targets else str(generator.choice(targets))))
        free.remove(row)
    rows = [row for row, _ in drawn]
    played = {row: pitch_classes(notes, index.iloc[row], duration_s) for row in rows}
    return [Clip(row, genre[row], target, _other(row, rows, group, played)) for row, target in drawn]


def pitch_classes(notes: pd.DataFrame, chunk: pd.Series, duration_s: float) -> np.ndarray:
    """Return which pitch classes a chunk's score has, bool [12]; none where the score is unknown."""
    own = notes[(notes["score_id"] == chunk["score_id"]) & notes["part"].isin(PITCHED)]
    return score_chroma(own, chunk["start_s"], round(duration_s * _FRAME_RATE), _FRAME_RATE).any(axis=1)


def _other(row: int, rows: list[int], group: np.ndarray, played: dict[int, np.ndarray]) -> int | None:
    others = [other for other in rows if group[other] != group[row]]
    return min(others, key=lambda other: _shared(played[row], played[other]), default=None)


def _shared(first: np.ndarray, second: np.ndarray) -> float:
    """Return the share of pitch classes in common among all of two chunks; 1 where none is known."""
    every = (first | second).sum()
    return float((first & second).sum() / every) if every else 1.0
