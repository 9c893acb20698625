"""The manifest of everything to render: all random choices, drawn before the first sample is computed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from soundgate.audio.toolkit import ToolkitSettings, draw_effects
from soundgate.runtime.config import Section
from soundgate.runtime.execution import map_items
from soundgate.runtime.files import atomic_path
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.rooms.splits import SPLITS, assign_splits

STAGE = "rooms-plan"
PLAN_NAME, DRAWN_NAME = "plan.parquet", "drawn.json"
# Of a row group, about: what reading one batch costs at the most.
_GROUP_ROWS = 8192


class PlanSettings(Section):
    """How many triples, of what, in which batches.

    Args:
        n_triples: to render; None takes every dry segment once. Beyond that segments come again, in other rooms.
        triples_per_batch: in one file.
        spare_share: further items a batch may draw on when some are rejected.
        split_shares: of speakers and of rooms, for train, validation and test.
        wet: least and greatest share of the reverberated signal in the source.
        toolkit: ranges of the degradations.
    """

    n_triples: int | None = Field(ge=1)
    triples_per_batch: int = Field(ge=1)
    spare_share: float = Field(ge=0, le=1)
    split_shares: tuple[float, float, float]
    wet: tuple[float, float]
    toolkit: ToolkitSettings

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if min(self.split_shares) <= 0 or not math.isclose(sum(self.split_shares), 1, abs_tol=1e-6):
            raise ValueError(f"split_shares must be positive and sum to 1, not {self.split_shares}")
        if not 0 <= self.wet[0] <= self.wet[1] <= 1:
            raise ValueError(f"wet must be a range inside [0, 1], not {self.wet}")
        return self


class Draws:
    """What every triple is made of: voice, rooms, wetness, degradations, each drawn by the number of its item.

    An item depends on the seed, its number, the epoch, the segments and the rooms alone. Every dry segment comes once
    before any comes again.

    Args:
        segments: one row for each dry segment: segment_id, speaker_id, valid_samples.
        irs: entries of the catalogue by id: pool, room_id.
        settings: see `PlanSettings`.
        seed: of every draw.

    Attributes:
        n_items: that the settings ask for.

    Raises:
        CorpusError: there are too few speakers or rooms for three splits that share none.
    """

    def __init__(self, segments: pd.DataFrame, irs: Mapping[str, Mapping], settings: PlanSettings, seed: int) -> None:
        self._irs, self._settings, self._seed = irs, settings, seed
        speakers = assign_splits(segments["speaker_id"], settings.split_shares, seed, "speakers")
        rooms = split_rooms(irs, settings, seed)
        self._pools = {
            (pool, split): sorted(
                name for name, ir in irs.items() if ir["pool"] == pool and rooms[ir["room_id"]] == split
            )
            for pool in ("bad", "target") for split in SPLITS
        }  # fmt: skip
        self.n_items = settings.n_triples or len(segments)
        order = keyed_generator(seed, STAGE, "segments").permutation(len(segments))
        columns = ("segment_id", "speaker_id", "valid_samples")
        self._segments = {name: segments[name].to_numpy()[order] for name in columns}
        splits = segments["speaker_id"].map(speakers).to_numpy()[order]
        self._places = {split: np.flatnonzero(splits == split) for split in SPLITS}
        self._splits = splits

    def items(self, split: str) -> np.ndarray:
        """Return the items of a split in their order, int64 [N]."""
        rounds = np.arange(-(-self.n_items // len(self._splits)))[:, None] * len(self._splits)
        items = (rounds + self._places[split]).ravel()
        return items[items < self.n_items]

    def draw(self, item: int, epoch: int = 0, spare_of: str | None = None) -> dict:
        """Return one item: item, split, segment_id, speaker_id, valid_samples, bad_ir, target_ir, wet, effects.

        Args:
            item: its number, below `n_items` unless it is a spare.
            epoch: 0 for what is planned; in every other one the same voice has other rooms and degradations.
            spare_of: the split whose voice a spare has; None: the item is no spare.
        """
        voices = self._places[spare_of] if spare_of else range(len(self._splits))
        place = voices[item % len(voices)]
        split = self._splits[place]
        generator = keyed_generator(self._seed, STAGE, f"{item} of epoch {epoch}" if epoch else str(item))
        pools = (self._pools[pool, split] for pool in ("bad", "target"))
        bad, target = (pool[generator.integers(len(pool))] for pool in pools)
        return {
            "item": int(item), "split": split,
            "segment_id": self._segments["segment_id"][place], "speaker_id": self._segments["speaker_id"][place],
            "valid_samples": int(self._segments["valid_samples"][place]),
            "bad_ir": bad, "bad_room": self._irs[bad]["room_id"],
            "target_ir": target, "target_room": self._irs[target]["room_id"],
            "wet": generator.uniform(*self._settings.wet),
            "effects": draw_effects(generator, self._settings.toolkit),
        }  # fmt: skip


class Batch(NamedTuple):
    """The items of one file.

    Args:
        number: of the batch.
        split: of all its items.
        items: that are asked for, int64 [N].
        spares: that stand in for those rejected.
    """

    number: int
    split: str
    items: np.ndarray
    spares: range


def batches_of(draws: Draws, settings: PlanSettings) -> list[Batch]:
    """Return the batches, those of train first: none holds two splits."""
    size, n_spares = settings.triples_per_batch, math.ceil(settings.spare_share * settings.triples_per_batch)
    batches: list[Batch] = []
    for split in SPLITS:
        items = draws.items(split)
        for first in range(0, len(items), size):
            first_spare = draws.n_items + len(batches) * n_spares
            spares = range(first_spare, first_spare + n_spares)
            batches.append(Batch(len(batches), split, items[first : first + size], spares))
    return batches


def plan_rows(draws: Draws, batches: Sequence[Batch]) -> pd.DataFrame:
    """Draw the items of some batches.

    Returns:
        One row an item, in the order of batches and, inside a batch, of use: item, batch, spare, split,
        segment_id, speaker_id, valid_samples, bad_ir, bad_room, target_ir, target_room, wet, effects (JSON).
    """
    rows = []
    for batch in batches:
        for item in (*batch.items.tolist(), *batch.spares):
            spare = item >= draws.n_items
            drawn = draws.draw(item, spare_of=batch.split if spare else None)
            effects = json.dumps([vars(effect) for effect in drawn.pop("effects")])
            rows.append({"item": item, "batch": batch.number, "spare": spare} | drawn | {"effects": effects})
    return pd.DataFrame(rows)


def write_plan(path: str | Path, draws: Draws, settings: PlanSettings) -> None:
    """Draw every triple and write the rows of `plan_rows`, some thousand a row group, atomically.

    One batch is read without the others, however many there are.
    """
    batches = batches_of(draws, settings)
    together = max(1, _GROUP_ROWS // settings.triples_per_batch)
    groups = [batches[first : first + together] for first in range(0, len(batches), together)]
    with atomic_path(path) as temporary:
        writer = None
        for rows in map_items(partial(plan_rows, draws), groups, "Plan"):
            table = pa.Table.from_pandas(rows, preserve_index=False)
            writer = writer or pq.ParquetWriter(temporary, table.schema)
            writer.write_table(table)
        writer.close()


def split_rooms(irs: Mapping[str, Mapping], settings: PlanSettings, seed: int) -> dict[str, str]:
    """Divide the rooms of each pool; a room that stands in both pools is in one split.

    Raises:
        CorpusError: a pool has too few rooms.
    """
    rooms: dict[str, str] = {}
    for pool in ("bad", "target"):
        names = {ir["room_id"] for ir in irs.values() if ir["pool"] == pool}
        rooms |= assign_splits(names, settings.split_shares, seed, f"{pool} rooms", taken=rooms)
    return rooms
