"""Whether what is rendered is the room it claims to be: impulses through the renderer, measured again."""

from __future__ import annotations

import numpy as np
import pandas as pd

from soundgate.audio.decay import find_direct, measure_room
from soundgate.runtime.console import track
from soundgate.tracks.rooms.batches import FULL_SCALE, to_int16
from soundgate.tracks.rooms.irs import Catalogue
from soundgate.tracks.rooms.triple import Renderer

IMPULSE_AT_S = 0.1


def rendered_rooms(catalogue: Catalogue, samples: int) -> pd.DataFrame:
    """Render a dry impulse through every room, as the fully wet source or as the target, in int16 as stored.

    Args:
        catalogue: of rooms.
        samples: of a clip.

    Returns:
        One row an impulse response: ir, room_id, pool, rt60_s and c50_db of the catalogue and of the rendered
        impulse, their errors (``rt60_error``, relative; ``c50_error_db``), and ``alignment_error``: samples
        between the dry impulse and the direct path of the rendered one.
    """
    entries = catalogue.entries
    renderer = Renderer(
        catalogue.ir, look_back=catalogue.look_back, samples=samples, sample_rate=catalogue.sample_rate, cache_bytes=0,
    )  # fmt: skip
    position = int(IMPULSE_AT_S * catalogue.sample_rate)
    dry = np.zeros(samples, np.float32)
    dry[position] = 1
    rows = []
    for name, entry in track(entries.items(), "Rooms"):
        triple = renderer.render(dry, samples, name, name, 1.0, [])
        wav = to_int16(triple.source if entry["pool"] == "bad" else triple.target) / np.float32(FULL_SCALE)
        start = max(position - catalogue.look_back, 0)
        room = measure_room(wav[start:], catalogue.sample_rate, catalogue.settings["search_s"])
        direct = find_direct(wav, catalogue.sample_rate, catalogue.settings["search_s"])
        rows.append({
            "ir": name, "room_id": entry["room_id"], "pool": entry["pool"],
            "rt60_s": entry["rt60_s"], "rendered_rt60_s": room.rt60_s,
            "c50_db": entry["c50_db"], "rendered_c50_db": room.c50_db,
            "rt60_error": abs(room.rt60_s / entry["rt60_s"] - 1),
            "c50_error_db": abs(room.c50_db - entry["c50_db"]),
            "alignment_error": abs(direct - position),
            "rt60_true_s": entry["rt60_true_s"],
            "removed_delay_samples": entry["removed_delay_samples"],
        })  # fmt: skip
    return pd.DataFrame(rows)
