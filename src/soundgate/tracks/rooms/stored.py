"""What the stored audio itself says: the finished sources' noise, the finished targets' rooms, their bandwidth."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy.fft import irfft, rfft

from soundgate.audio.decay import bandwidth_hz, find_direct, measure_room
from soundgate.audio.effects import Effect
from soundgate.audio.snr import snr_between
from soundgate.runtime.errors import FormatError
from soundgate.runtime.execution import map_items
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.rooms.batches import EMBEDDING, FULL_SCALE, SOURCE, TARGET, open_batch, own_batches, own_metas
from soundgate.tracks.rooms.irs import Catalogue, load_catalogue
from soundgate.tracks.rooms.segments import Segments, load_segments
from soundgate.tracks.rooms.triple import Renderer, transform_length

STAGE = "rooms-manifest"
T = TypeVar("T")
# Clips that a target room is measured by, those with the longest voices.
CLIPS_PER_ROOM = 3
# Of filling in the reverberation beyond a clip's end: the first leaves less than 1 % of T60 in most rooms.
ROUNDS = 3
# Against the mean power of the voices' spectrum: what they hold less of is not divided by.
REGULARISATION = 1e-5
LEAD_S = 0.01  # Kept before the direct sound of a room that is measured.
SNR_COLUMNS = ["item", "requested_snr_db", "stored_snr_db"]
ROOM_COLUMNS = [
    "ir", "room_id", "n_clips", "rt60_s", "stored_rt60_s", "heard_rt60_s", "rt60_true_s",
    "stored_c50_db", "heard_c50_db", "alignment_samples",
]  # fmt: skip


def stored_triples(batches: Path, run: dict) -> tuple[list[dict], np.ndarray]:
    """Return what is known of each triple of this run's readable batches, and the embeddings stored with them.

    Args:
        batches: the folder of the batches.
        run: its checkpoint or manifest.

    Returns:
        One mapping a triple, as in its metadata, with ``file`` and ``row``; and float32 ``[n, D]``.
    """
    known, embeddings = [], []
    for entry, meta in zip(own_batches(run), own_metas(batches, run), strict=True):
        try:
            arrays = open_batch(batches / entry["file"])
        except FormatError:
            continue  # The hashes tell of it.
        rows = meta["triples"][: len(arrays[EMBEDDING])]
        known += [triple | {"file": entry["file"], "row": row} for row, triple in enumerate(rows)]
        embeddings.append(np.array(arrays[EMBEDDING][: len(rows)]))
    return known, np.concatenate(embeddings) if embeddings else np.zeros((0, 0), np.float32)


def chosen(triples: list[T], count: int, seed: int, item: str) -> list[T]:
    """Return at most so many of some, drawn at random, in their order."""
    if len(triples) <= count:
        return triples
    drawn = keyed_generator(seed, STAGE, item).choice(len(triples), count, replace=False)
    return [triples[number] for number in sorted(drawn)]


def stored_levels(irs: Path, vocals: Path, batches: Path, triples: list[dict]) -> pd.DataFrame:
    """Measure the noise of finished sources: what is stored, less the same source rendered again without noise.

    Args:
        irs, vocals, batches: folders of the run.
        triples: of `stored_triples`; those without noise are left out, and those with a codec after it, whose errors
            cannot be told from noise.

    Returns:
        One row a noisy triple: item, requested_snr_db, and stored_snr_db over the active frames of the source
        without noise; NaN where voice or noise is silent.
    """
    noisy = [triple for triple in triples if _measurable([effect["name"] for effect in triple["effects"]])]
    work = partial(_stored_level, irs.absolute(), vocals.absolute(), batches.absolute())
    return pd.DataFrame(map_items(work, noisy, "Noise of stored triples"), columns=SNR_COLUMNS)


def _measurable(effects: list[str]) -> bool:
    return "noise" in effects and "codec" not in effects[effects.index("noise") :]


def _stored_level(irs: Path, vocals: Path, batches: Path, triple: dict) -> dict:
    catalogue, segments = _opened(irs, vocals)
    renderer = Renderer(
        catalogue.ir, look_back=catalogue.look_back, samples=segments.samples, sample_rate=segments.sample_rate,
        cache_bytes=0,
    )  # fmt: skip
    effects = [Effect(effect["name"], effect) for effect in triple["effects"]]
    dry = segments.segment(triple["segment_id"])
    voice = renderer.without_noise(
        dry, triple["valid_samples"], triple["bad_ir"], triple["target_ir"], triple["wet"], effects
    )
    source = _stored(batches, triple, SOURCE) / np.float32(triple["source_gain"])
    requested = next(effect["requested_snr_db"] for effect in triple["effects"] if effect["name"] == "noise")
    found = snr_between(source, voice, segments.sample_rate, triple["valid_samples"])
    return {"item": triple["item"], "requested_snr_db": requested, "stored_snr_db": found}


def stored_rooms(irs: Path, vocals: Path, batches: Path, triples: list[dict], most: int) -> pd.DataFrame:
    """Measure target rooms by their finished targets: each target divided by its dry voice is the room again.

    Args:
        irs, vocals, batches: folders of the run.
        triples: of `stored_triples`.
        most: rooms measured; the first in the order of their ids.

    Returns:
        One row an impulse response that is a target: ir, room_id, n_clips;
        T60 and C50 of the stored targets (``stored_``; NaN where they show no decay) and of the catalogue's response
        as the same voices let it be heard (``heard_``); ``rt60_s`` of the catalogue; ``rt60_true_s`` of a room
        that was simulated, NaN of others; and ``alignment_samples``, how far the direct sound is off its place.
    """
    of: dict[str, list[dict]] = {}
    for triple in triples:
        of.setdefault(triple["target_ir"], []).append(triple)
    longest = {ir: sorted(of[ir], key=lambda triple: -triple["valid_samples"])[:CLIPS_PER_ROOM] for ir in sorted(of)}
    work = partial(_stored_room, irs.absolute(), vocals.absolute(), batches.absolute())
    return pd.DataFrame(map_items(work, list(longest.items())[:most], "Stored rooms"), columns=ROOM_COLUMNS)


def _stored_room(irs: Path, vocals: Path, batches: Path, item: tuple[str, list[dict]]) -> dict:
    """Divide by least squares over all clips: sum(conj(dry) · target) / sum(|dry|²), regularised.

    What a clip's end cut off of the reverberation is filled in by what the room found so far makes of the voice.
    """
    name, triples = item
    catalogue, segments = _opened(irs, vocals)
    entry, rate = catalogue.entries[name], catalogue.sample_rate
    n_fft = transform_length(2 * segments.samples)
    lead, beyond = round(LEAD_S * rate), slice(segments.samples, segments.samples + entry["samples"])
    dry = np.stack([rfft(segments.segment(triple["segment_id"]).astype(np.float64), n_fft) for triple in triples])
    targets = np.zeros((len(triples), n_fft))
    for row, triple in zip(targets, triples, strict=True):
        row[: segments.samples] = _stored(batches, triple, TARGET) / np.float64(triple["target_gain"])
    power = np.square(np.abs(dry)).sum(axis=0)
    divisor = power + REGULARISATION * power.mean()
    for number in range(ROUNDS + 1):
        found = np.roll(irfft((dry.conj() * rfft(targets)).sum(axis=0) / divisor, n_fft), lead)
        found[lead + entry["samples"] :] = 0
        if number < ROUNDS:
            targets[:, beyond] = irfft(dry * rfft(np.roll(found, -lead)), n_fft)[:, beyond]
    response = np.zeros(n_fft)
    response[: entry["samples"]] = catalogue.ir(name)
    heard = np.roll(irfft(rfft(np.roll(response, -catalogue.look_back)) * power / divisor, n_fft), lead)
    row = {"ir": name, "room_id": entry["room_id"], "n_clips": len(triples), "rt60_s": entry["rt60_s"],
             "rt60_true_s": entry["rt60_true_s"] or np.nan}  # fmt: skip
    for kind, wav in (("stored", found[: lead + entry["samples"]]), ("heard", heard[: lead + entry["samples"]])):
        room = measure_room(wav, rate, catalogue.settings["look_back_s"])
        row |= {f"{kind}_rt60_s": room.rt60_s or np.nan, f"{kind}_c50_db": room.c50_db}
    row["alignment_samples"] = find_direct(found[: lead + entry["samples"]], rate, catalogue.settings["look_back_s"])
    row["alignment_samples"] -= lead
    return row


def stored_bandwidths(batches: Path, triples: list[dict], sample_rate: int) -> pd.DataFrame:
    """Return ``item`` and ``bandwidth_hz`` of each finished target; see `soundgate.audio.decay.bandwidth_hz`."""
    work = partial(_stored_bandwidth, batches.absolute(), sample_rate)
    return pd.DataFrame(map_items(work, triples, "Bandwidths"), columns=["item", "bandwidth_hz"])


def _stored_bandwidth(batches: Path, sample_rate: int, triple: dict) -> dict:
    return {"item": triple["item"], "bandwidth_hz": bandwidth_hz(_stored(batches, triple, TARGET), sample_rate)}


def _stored(batches: Path, triple: dict, name: str) -> np.ndarray:
    return open_batch(batches / triple["file"])[name][triple["row"]].astype(np.float32) / np.float32(FULL_SCALE)


@cache
def _opened(irs: Path, vocals: Path) -> tuple[Catalogue, Segments]:
    return load_catalogue(irs), load_segments(vocals)
