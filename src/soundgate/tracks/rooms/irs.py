"""The catalogue of impulse responses: aligned at their direct sound, normalised, measured, in one array."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from soundgate.audio.decay import find_direct, measure_room
from soundgate.audio.io import Audio, read_audio, resample
from soundgate.runtime.config import Section
from soundgate.runtime.console import logger
from soundgate.runtime.errors import AudioError, CorpusError, FormatError
from soundgate.runtime.execution import map_items
from soundgate.runtime.files import atomic_path, read_json, sha256_of, write_json
from soundgate.runtime.paths import path_from_text

SAMPLES_NAME = "irs.npy"
CATALOGUE_NAME = "ir_catalogue.json"
FULL_SCALE = 1 - 2**-15  # The largest positive sample of 16 bits.
CLIPPED_RUN = 3
CONSTANT_SHARE = 1e-3
FADE_S = 0.01
LEAST_SHARE = 1e-20


class IrSettings(Section):
    """Section ``rooms.irs``."""

    sample_rate: int = Field(ge=8_000, description="Hz of every stored response")
    channel: int = Field(
        ge=0,
        description="the one channel used, never an average: 0 is the omnidirectional W of a B-format file",
    )
    search_s: float = Field(gt=0, le=0.5, description="how long before the largest sample the direct sound may come")
    look_back_s: float = Field(gt=0, le=0.1, description="kept before the direct sound")
    max_removed_energy_db: float = Field(lt=0, description="against the whole; with more before it, it is music")
    max_duration_s: float = Field(gt=0, description="kept after the direct sound; a longer tail is faded out there")
    min_samples: int = Field(ge=2, description="at sample_rate; of the file, and from the direct sound on")
    min_decay_db: float = Field(ge=0, description="decay above the noise floor that a response must show")

    @property
    def look_back(self) -> int:
        """Sample at which the direct sound of every stored response lies."""
        return round(self.look_back_s * self.sample_rate)


class PreparedIr(NamedTuple):
    """A usable response.

    Args:
        samples: float32 [T] at the catalogue's rate, of peak 1, with the direct sound at sample ``look_back``.
        facts: the catalogue's numbers on it.
    """

    samples: np.ndarray
    facts: dict


@dataclass(frozen=True)
class Catalogue:
    """The responses of one catalogue folder.

    Args:
        folder: absolute.
        sample_rate: in Hz.
        look_back: sample at which every direct sound lies.
        settings: of the run that made it, as JSON values.
        entries: id to what is known of the response.
        rejected: ``path`` and ``reason`` of every file left out.
    """

    folder: Path
    sample_rate: int
    look_back: int
    settings: dict
    entries: dict[str, dict]
    rejected: list[dict]

    def ir(self, ir_id: str) -> np.ndarray:
        """Return a response's samples, float32 [T], read-only and read from the disk when used."""
        entry = self.entries[ir_id]
        samples = np.load(self.folder / SAMPLES_NAME, mmap_mode="r")
        return samples[entry["offset"] : entry["offset"] + entry["samples"]]


def load_catalogue(folder: str | Path) -> Catalogue:
    """Open a catalogue that `build_catalogue` wrote, holding its samples against their hash.

    Raises:
        FormatError: a file is missing, is not what its format says, or the two do not belong together.
    """
    folder = Path(folder).absolute()
    path, samples = folder / CATALOGUE_NAME, folder / SAMPLES_NAME
    remedy = "Build the catalogue again."
    try:
        card = read_json(path)
        catalogue = Catalogue(
            folder, card["sample_rate"], card["look_back"], card["settings"], card["irs"], card["rejected"]
        )
        hashed, stored = card["irs_sha256"], sum(entry["samples"] for entry in card["irs"].values())
        found = sha256_of(samples)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(path, expected="a catalogue of responses", found=repr(error), remedy=remedy) from error
    if found != hashed:
        raise FormatError(samples, expected=f"sha256 {hashed}", found=found, remedy=remedy)
    array = np.load(samples, mmap_mode="r")
    if array.dtype != np.float32 or array.shape != (stored,):
        expected, found = f"float32 [{stored}]", f"{array.dtype} {list(array.shape)}"
        raise FormatError(samples, expected=expected, found=found, remedy=remedy)
    return catalogue


def build_catalogue(
    pool_indexes: Mapping[str, pd.DataFrame],
    rejected: pd.DataFrame,
    out_folder: str | Path,
    settings: IrSettings,
    known: Catalogue | None = None,
) -> dict:
    """Prepare and measure every response of the pools; write ``irs.npy`` and ``ir_catalogue.json``.

    Args:
        pool_indexes: pool (``"bad"``, ``"target"``) to its index table, in the order of precedence; content that
            stands in an earlier pool is refused in a later one.
        rejected: ``path`` and ``reason`` of the files that the pools' corpora refused, carried over.
        out_folder: where the two files go.
        settings: how responses are prepared.
        known: an earlier catalogue. Made with equal settings, it gives the responses of files whose content it
            holds; these are hashed, not decoded.

    Returns:
        The catalogue as written.

    Raises:
        FormatError: a file is gone, or no longer the one its corpus's index describes.
        CorpusError: a pool has no usable response left.
    """
    rows, refused = _distinct_rows(pool_indexes)
    refused = [{"path": row.path, "reason": row.reason} for row in rejected.itertuples()] + refused
    reusable = _reusable(known, settings)
    items = [
        _Item(path_from_text(row["path"]).absolute(), row["sha256"], settings, row["sha256"] in reusable)
        for row in rows
    ]
    prepared = map_items(_prepare_file, items, "Impulse responses")
    samples_path = Path(out_folder) / SAMPLES_NAME
    entries, offset = {}, 0
    with atomic_path(samples_path) as temporary, open(temporary, "wb") as file:
        _write_header(file, 0)
        for row, result in zip(rows, prepared, strict=True):
            if result is None:
                result = reusable[row["sha256"]].load()
            if isinstance(result, str):
                refused.append({"path": row["path"], "reason": result})
                continue
            file.write(result.samples.astype("<f4").tobytes())
            place = {"offset": offset, "samples": len(result.samples)}
            entries[f"{row['pool']}-{row['utt_id']}"] = _entry(row, result.facts, place)
            offset += len(result.samples)
        _write_header(file, offset)
    _check_pools(pool_indexes, entries, refused)
    card = {
        "sample_rate": settings.sample_rate,
        "look_back": settings.look_back,
        "settings": _as_json(settings),
        "irs": entries,
        "rejected": refused,
        "irs_sha256": sha256_of(samples_path),
    }
    write_json(Path(out_folder) / CATALOGUE_NAME, card)
    logger.info("%d impulse responses, %d files rejected", len(entries), len(refused))
    return card


def prepare_ir(audio: Audio, settings: IrSettings) -> PreparedIr | str:
    """Bring one response to the catalogue's form, or say why it cannot be used.

    Args:
        audio: the file as decoded.
        settings: how responses are prepared.

    Returns:
        The prepared response. ``removed_delay_samples`` counts at the catalogue's rate and is negative where zeros
        were put in front; ``removed_energy_db`` is the energy of what was cropped there against the whole;
        stored samples times ``removed_gain`` are the file's own: it is negative where ``polarity`` is -1, as the direct
        sound was and is turned to be positive.
    """
    if settings.channel >= len(audio.wav):
        return f"no channel {settings.channel}: {len(audio.wav)} channels"
    channel = audio.wav[settings.channel]
    if fault := _channel_fault(channel):
        return fault
    wav, lead = _resampled(channel, audio.sample_rate, settings)
    if len(wav) - lead < settings.min_samples:
        return f"too short: {len(wav) - lead} samples, the least is {settings.min_samples}"
    direct = find_direct(wav, settings.sample_rate, settings.search_s)
    if len(wav) - direct < settings.min_samples:
        return f"onset at the file's end: {len(wav) - direct} samples from the direct sound on"
    start = direct - settings.look_back
    samples, cut = _faded(wav[start:], settings)
    # The dry voice that a response is blended with would be cancelled by one whose direct sound is negative.
    polarity = -1 if wav[direct] < 0 else 1
    gain = polarity * float(np.abs(samples).max())
    samples = samples / np.float32(gain)
    measured = measure_room(samples, settings.sample_rate, settings.search_s)
    if measured.rt60_s is None or measured.decay_range_db < settings.min_decay_db:
        return f"insufficient decay: {measured.decay_range_db:.1f} dB above the noise floor"
    removed_energy_db = _share_db(wav, start)
    if removed_energy_db > settings.max_removed_energy_db:
        return f"not an impulse response: {removed_energy_db:.1f} dB of its energy before its direct sound"
    facts = {
        "channel": settings.channel,
        "n_channels": len(audio.wav),
        "polarity": polarity,
        "native_sample_rate": audio.sample_rate,
        "direct_sample": settings.look_back,
        "removed_delay_samples": start - lead,
        "removed_energy_db": removed_energy_db,
        "removed_gain": gain,
        "removed_tail_samples": cut,
    }
    return PreparedIr(samples, facts | asdict(measured))


def _share_db(wav: np.ndarray, stop: int) -> float:
    power = np.square(wav, dtype=np.float64)
    return 10 * math.log10(max(power[:stop].sum() / power.sum(), LEAST_SHARE))


def _channel_fault(channel: np.ndarray) -> str | None:
    peak = float(np.abs(channel).max())
    if peak == 0:
        return "silent: the channel used is all zero"
    if np.ptp(channel) < CONSTANT_SHARE * peak:
        return f"DC: constant at {channel[0]:g}"
    # Floats may lie beyond full scale: these are clipped where they stay at their own peak.
    longest = _longest_run(np.abs(channel) >= FULL_SCALE * max(peak, 1.0))
    if longest >= CLIPPED_RUN:
        return f"clipped: {longest} consecutive samples at full scale"
    return None


def _longest_run(flags: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _resampled(channel: np.ndarray, native_rate: int, settings: IrSettings) -> tuple[np.ndarray, int]:
    """Return samples at the catalogue's rate behind more than ``look_back`` zeros, and how many those are.

    Zeros go in before resampling, so that a response which starts at once keeps the ringing before its start;
    their number is a whole number of samples at both rates.
    """
    divisor = math.gcd(native_rate, settings.sample_rate)
    native_unit, unit = native_rate // divisor, settings.sample_rate // divisor
    repeats = settings.look_back // unit + 1
    padded = np.pad(channel, (repeats * native_unit, 0))[None]
    return resample(padded, native_rate, settings.sample_rate)[0], repeats * unit


def _faded(wav: np.ndarray, settings: IrSettings) -> tuple[np.ndarray, int]:
    """Return at most the longest duration, ending in half a cosine where a tail was cut, and that tail's length."""
    longest = settings.look_back + round(settings.max_duration_s * settings.sample_rate)
    cut = max(len(wav) - longest, 0)
    if cut == 0:
        return wav, 0
    size = min(round(FADE_S * settings.sample_rate), longest - settings.look_back)
    fade = np.ones(longest, np.float32)
    fade[longest - size :] = 0.5 + 0.5 * np.cos(np.pi * (np.arange(size) + 0.5) / size)
    return wav[:longest] * fade, cut


class _Item(NamedTuple):
    path: Path
    sha256: str
    settings: IrSettings
    known: bool


def _prepare_file(item: _Item) -> PreparedIr | str | None:
    """Prepare one file; None where its response is known already."""
    remedy = "Build the corpus again."
    try:
        found = sha256_of(item.path)
    except OSError as error:
        expected = "a file of the corpus"
        raise FormatError(item.path, expected=expected, found=error.strerror, remedy=remedy) from error
    if found != item.sha256:
        raise FormatError(item.path, expected=f"sha256 {item.sha256}", found=found, remedy=remedy)
    if item.known:
        return None
    try:
        return prepare_ir(read_audio(item.path), item.settings)
    except AudioError as error:
        return error.found


def _distinct_rows(pool_indexes: Mapping[str, pd.DataFrame]) -> tuple[list[dict], list[dict]]:
    rows, refused, first_with = [], [], {}
    for pool, index in pool_indexes.items():
        for row in index.sort_values("utt_id").to_dict("records"):
            if first := first_with.get(row["sha256"]):
                refused.append({"path": row["path"], "reason": f"duplicate content of {first}"})
            else:
                rows.append(row | {"pool": pool})
                first_with[row["sha256"]] = f"{row['path']} in pool {pool}"
    return rows, refused


class _KnownIr(NamedTuple):
    catalogue: Catalogue
    ir_id: str

    def load(self) -> PreparedIr:
        return PreparedIr(self.catalogue.ir(self.ir_id), self.catalogue.entries[self.ir_id])


def _reusable(known: Catalogue | None, settings: IrSettings) -> dict[str, _KnownIr]:
    if known is None or known.settings != _as_json(settings):
        return {}
    return {entry["sha256"]: _KnownIr(known, ir_id) for ir_id, entry in known.entries.items()}


def _as_json(settings: IrSettings) -> dict:
    return json.loads(settings.model_dump_json())


def _entry(row: dict, facts: dict, place: dict) -> dict:
    """Return a catalogue entry; whose response it is comes from the index, also where the facts are reused."""
    rt60_true_s = row["rt60_true_s"]
    own = {
        "pool": row["pool"],
        "room_id": row["speaker_id"],
        "path": row["path"],
        "sha256": row["sha256"],
        "rt60_true_s": None if math.isnan(rt60_true_s) else rt60_true_s,
    }
    return facts | place | own


def _write_header(file: IO[bytes], length: int) -> None:
    """Write the header of a float32 array [length]; it is as long for every length, so that the data can grow."""
    file.seek(0)
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (length,)})


def _check_pools(pool_indexes: Mapping[str, pd.DataFrame], entries: dict, refused: list[dict]) -> None:
    for pool in pool_indexes:
        if not any(entry["pool"] == pool for entry in entries.values()):
            reasons = "; ".join(f"{one['path']}: {one['reason']}" for one in refused[:3]) or "no files"
            raise CorpusError(f"pool {pool}", expected="at least one usable impulse response", found=reasons)
