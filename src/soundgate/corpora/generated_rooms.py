"""Rooms made on the spot: good ones to aim at and bad ones to get away from, of known reverberation time."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from soundgate.audio.io import write_audio
from soundgate.corpora.colouring import Colour
from soundgate.corpora.index import Entry
from soundgate.corpora.room_response import BANDS_HZ, SAMPLE_RATE, Room, room_response
from soundgate.corpora.source_list import read_source_list
from soundgate.runtime.errors import ConfigError
from soundgate.runtime.execution import map_items
from soundgate.runtime.files import write_text
from soundgate.runtime.randomness import keyed_generator

STAGE = "corpus-rooms"
PEAK = 0.9
_SOURCE_AT = ((0.3, 0.25, 0.35), (0.45, 0.75, 0.65))  # shares of the sides, least and most
_MICROPHONE_AT = ((0.55, 0.25, 0.35), (0.7, 0.75, 0.65))


def _ordered(values: tuple[float, float]) -> tuple[float, float]:
    if not 0 < values[0] <= values[1]:
        raise ValueError(f"{values[0]:g} to {values[1]:g} is not a range above 0")
    return values


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
Share = Annotated[float, Field(gt=0, le=2)]


class RoomKind(BaseModel):
    """What the rooms of one kind have in common; see ``sources/generated_rooms.yaml``.

    Args:
        size_m: ranges of length, width and height.
        decay_s: range of the reverberation time at 1 kHz.
        decay_profile: reverberation time of each band relative to that.
        mixing_s: see `Room`.
        scatter_m: see `Room`.
        equipment: a filter of every room.
        colours: filters of which each room has one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size_m: tuple[Range, Range, Range]
    decay_s: Range
    decay_profile: list[Share] = Field(min_length=len(BANDS_HZ), max_length=len(BANDS_HZ))
    mixing_s: float = Field(gt=0, le=0.1)
    scatter_m: float = Field(ge=0, le=0.2)
    equipment: Colour
    colours: list[Colour]


class RoomSource(BaseModel):
    """The source list of generated rooms.

    Args:
        positions_per_room: impulse responses of each room.
        kinds: by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    positions_per_room: int = Field(ge=1)
    kinds: dict[Literal["bad", "target"], RoomKind]


@dataclass(frozen=True)
class _Response:
    """The work of one item: one position in one room."""

    path: Path
    room: Room
    ir_id: str
    seed: int


def read_room_source(path: str | Path) -> RoomSource:
    """Read the source list of generated rooms.

    Args:
        path: a YAML file.

    Raises:
        ConfigError: the file is missing, or a key is missing, unknown or out of range.
    """
    return read_source_list(path, RoomSource, "generated rooms")


def generate_rooms(
    folder: str | Path, source_list: str | Path, kind: str, seed: int, n_rooms: int
) -> tuple[list[Entry], dict[Path, float]]:
    """Simulate a corpus of rooms into a folder.

    Files are 24-bit FLAC at 48 kHz, ``<room>/<room>-N.flac``, scaled to one peak; the rooms' sizes, decays and
    colours stand in ``rooms.csv``. A response depends on the source list, the seed and its own name alone.

    Args:
        folder: what to write into.
        source_list: see `RoomSource`.
        kind: ``"bad"`` or ``"target"``.
        seed: of every draw.
        n_rooms: how many rooms.

    Returns:
        One entry for each response, with the room as its speaker, and each file's reverberation time in seconds.

    Raises:
        ConfigError: the source list is wrong or lacks the kind.
    """
    source, root = read_room_source(source_list), Path(folder).absolute()
    if kind not in source.kinds:
        raise ConfigError("name", expected=f"one of {sorted(source.kinds)}, the kinds in {source_list}", found=kind)
    room_ids = [f"{kind}-{number:03d}" for number in range(1, n_rooms + 1)]
    rooms = {room_id: draw_room(source.kinds[kind], seed, room_id) for room_id in room_ids}
    items, entries = [], []
    for room_id, room in rooms.items():
        for position in range(1, source.positions_per_room + 1):
            ir_id = f"{room_id}-{position}"
            items.append(_Response(root / room_id / f"{ir_id}.flac", room, ir_id, seed))
            entries.append(Entry(ir_id, room_id, items[-1].path))
    rt60_s = list(map_items(_write_response, items, f"simulating {kind} rooms"))
    write_text(root / "rooms.csv", _room_table(rooms))
    return entries, dict(zip((entry.path for entry in entries), rt60_s, strict=True))


def draw_room(kind: RoomKind, seed: int, room_id: str) -> Room:
    """Draw one room.

    Args:
        kind: the ranges.
        seed: of the draws.
        room_id: keys the draws.
    """
    generator = keyed_generator(seed, STAGE, room_id)
    size_m = tuple(float(generator.uniform(*side)) for side in kind.size_m)
    decay_s = float(np.exp(generator.uniform(*np.log(kind.decay_s))))
    drawn = [kind.colours[generator.integers(len(kind.colours))]] if kind.colours else []
    return Room(
        size_m=size_m,
        decay_s=tuple(decay_s * share for share in kind.decay_profile),
        mixing_s=kind.mixing_s,
        scatter_m=kind.scatter_m,
        colours=(kind.equipment, *drawn),
    )


def _write_response(item: _Response) -> float:
    generator = keyed_generator(item.seed, STAGE, item.ir_id)
    source, microphone = (generator.uniform(*at) * item.room.size_m for at in (_SOURCE_AT, _MICROPHONE_AT))
    wav, rt60_s = room_response(item.room, source, microphone, generator)
    write_audio(item.path, PEAK / np.abs(wav).max() * wav, SAMPLE_RATE, "PCM_24")
    return rt60_s


def _room_table(rooms: dict[str, Room]) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["room_id", "length_m", "width_m", "height_m", "decay_1khz_s", "colours"])
    for room_id, room in rooms.items():
        colours = json.dumps([colour.model_dump() for colour in room.colours])
        decay_s = room.decay_s[BANDS_HZ.index(1_000.0)]
        writer.writerow([room_id, *(f"{value:.4f}" for value in (*room.size_m, decay_s)), colours])
    return table.getvalue()
