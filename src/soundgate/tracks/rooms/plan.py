"""The manifest of everything to render: all random choices, drawn before the first sample is computed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Self

import pandas as pd
from pydantic import Field, model_validator

from soundgate.audio.toolkit import ToolkitSettings, draw_effects
from soundgate.runtime.config import Section
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.rooms.splits import assign_splits

STAGE = "rooms-plan"


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


def build_plan(segments: pd.DataFrame, irs: Mapping[str, Mapping], settings: PlanSettings, seed: int) -> pd.DataFrame:
    """Draw every triple. A row depends on the seed, its item number, the segments and the rooms alone.

    Args:
        segments: one row for each dry segment: segment_id, speaker_id, valid_samples.
        irs: entries of the catalogue by id: pool, room_id.
        settings: see `PlanSettings`.
        seed: of every draw.

    Returns:
        One row an item, in the order of batches and, inside a batch, of use: item, batch, spare, split,
        segment_id, speaker_id, valid_samples, bad_ir, bad_room, target_ir, target_room, wet, effects (JSON).

    Raises:
        CorpusError: there are too few speakers or rooms for three splits that share none.
    """
    speakers = assign_splits(segments["speaker_id"], settings.split_shares, seed, "speakers")
    rooms = split_rooms(irs, settings, seed)
    pools = {
        (pool, split): sorted(
            name for name, ir in irs.items() if ir["pool"] == pool and rooms[ir["room_id"]] == split
        )
        for pool in ("bad", "target") for split in set(speakers.values())
    }  # fmt: skip
    n_triples = settings.n_triples or len(segments)
    order = keyed_generator(seed, STAGE, "segments").permutation(len(segments))
    table = segments[["segment_id", "speaker_id", "valid_samples"]].to_dict("records")
    rows = []
    for batch, item, spare in _numbered(n_triples, settings):
        segment = table[order[item % len(order)]]
        split = speakers[segment["speaker_id"]]
        generator = keyed_generator(seed, STAGE, str(item))
        bad, target = (str(generator.choice(pools[pool, split])) for pool in ("bad", "target"))
        rows.append({
            "item": item, "batch": batch, "spare": spare, "split": split, **segment,
            "bad_ir": bad, "bad_room": irs[bad]["room_id"],
            "target_ir": target, "target_room": irs[target]["room_id"],
            "wet": generator.uniform(*settings.wet),
            "effects": json.dumps([vars(effect) for effect in draw_effects(generator, settings.toolkit)]),
        })  # fmt: skip
    return pd.DataFrame(rows)


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


def _numbered(n_triples: int, settings: PlanSettings) -> list[tuple[int, int, bool]]:
    """Return (batch, item, spare): the items asked for first, then each batch's spares."""
    size = settings.triples_per_batch
    n_batches = -(-n_triples // size)
    n_spares = math.ceil(settings.spare_share * size)
    rows = []
    for batch in range(n_batches):
        rows += [(batch, item, False) for item in range(batch * size, min((batch + 1) * size, n_triples))]
        first = n_triples + batch * n_spares
        rows += [(batch, item, True) for item in range(first, first + n_spares)]
    return rows
