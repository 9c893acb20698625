"""Dry vocals: every voice without noise and silent ends, at one loudness, cut into clips, in hashed shards.

A shard is finished when its part, a JSON file with its hash and its rows, is there. What a shard holds depends
on its files and the settings alone, so that neither workers nor interruptions nor the budget change its bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from soundgate.audio.decay import bandwidth_hz
from soundgate.audio.denoise import Denoised, default_gating, denoise, estimate_snr_db, si_sdr_db
from soundgate.audio.io import read_audio, resample
from soundgate.audio.loudness import normalise_loudness
from soundgate.audio.segments import cut, trim
from soundgate.corpora.index import INDEX_NAME, REJECTED_NAME, read_index
from soundgate.runtime.config import Section
from soundgate.runtime.console import logger
from soundgate.runtime.errors import ConfigError, CorpusError, FormatError
from soundgate.runtime.execution import map_items
from soundgate.runtime.files import atomic_path, read_json, sha256_of, write_json
from soundgate.runtime.paths import path_from_text
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.rooms.segments import FULL_SCALE, SEGMENTS_NAME, STATE_NAME, hash_or_reason

STAGE = "rooms-sterilise"
FILES_NAME = "files.parquet"
# What the budget reserves beside the samples; a row of the tables or of the state takes less.
ROW_BYTES = 1024
FIXED_BYTES = 65536
SEGMENT_TYPES = {
    "segment_id": "str", "source": "str", "utt_id": "str", "speaker_id": "str", "shard": "str",
    "row": "int64", "valid_samples": "int64", "gain": "float64",
}  # fmt: skip
FILE_TYPES = {
    "utt_id": "str", "source": "str", "speaker_id": "str", "path": "str", "outcome": "str", "reason": "str",
    "denoised": "bool", "snr_before_db": "float64", "snr_after_db": "float64", "sdr_before_db": "float64",
    "sdr_after_db": "float64", "control_sdr_db": "float64", "loudness_before_lufs": "float64", "gain_db": "float64",
    "trimmed_s": "float64", "bandwidth_hz": "float64", "duration_s": "float64", "segments": "int64",
}  # fmt: skip
_NOTHING = {column: None for column, kind in FILE_TYPES.items() if kind == "float64"}
_NOTHING |= {"denoised": False, "segments": 0}


class SteriliseSettings(Section):
    """Section ``rooms.sterilise``."""

    sample_rate: int = Field(ge=4_000, le=384_000, description="of the clips, Hz")
    clip_samples: int = Field(ge=1, description="length of a clip")
    reduce_noise: bool = Field(description="whether hum and stationary noise are taken out where they can be")
    clean_snr_db: float = Field(description="estimated SNR from which a recording counts as clean")
    trim_top_db: float = Field(gt=0, description="ends this far below the loudest frame are cut off")
    min_duration_s: float = Field(ge=0, description="shorter recordings are dropped after trimming")
    min_bandwidth_hz: float = Field(default=0.0, ge=0, description="recordings that hold less are dropped")
    loudness_lufs: float = Field(le=0, description="integrated loudness of every recording")
    files_per_shard: int = Field(ge=1, description="recordings in a shard")
    budget_gb: float = Field(gt=0, description="most the output may take, in 10^9 bytes")


@dataclass(frozen=True)
class Voice:
    """One recording of a corpus of voices, as it was indexed; ``clean_path`` is empty where no truth is known."""

    source: str
    utt_id: str
    speaker_id: str
    path: str
    sha256: str
    samples: int
    sample_rate: int
    duration_s: float
    clean_path: str


@dataclass(frozen=True)
class Shard:
    """The recordings that go into one file of clips."""

    name: str
    voices: tuple[Voice, ...]

    def bound_bytes(self, settings: SteriliseSettings) -> int:
        """Return how many bytes it takes at most: nothing is trimmed, nothing is dropped."""
        seconds = [(voice.samples + 2) / voice.sample_rate for voice in self.voices]
        clips = sum(math.ceil(duration_s * settings.sample_rate / settings.clip_samples) for duration_s in seconds)
        return clips * (2 * settings.clip_samples + ROW_BYTES) + ROW_BYTES


def read_voices(voices: str | Path) -> tuple[list[Voice], pd.DataFrame]:
    """Read the indices of every corpus of voices.

    Args:
        voices: a folder whose sub-folders are corpora; a sub-folder's name is the source of its recordings.

    Returns:
        The recordings, sorted by source and utterance, and the files the corpora refused: source, path, reason.

    Raises:
        CorpusError: there is no corpus, or ids of two sources cannot be told apart once joined.
    """
    found, rejected = [], [pd.DataFrame(columns=["source", "path", "reason"])]
    folders = sorted(path.parent for path in Path(voices).glob(f"*/{INDEX_NAME}"))
    if not folders:
        raise CorpusError(voices, expected=f"corpora: folders with {INDEX_NAME}", found="none")
    for folder in folders:
        index = read_index(folder)
        clean_paths = index["clean_path"].fillna("") if "clean_path" in index else [""] * len(index)
        columns = index[["utt_id", "speaker_id", "path", "sha256", "samples", "sample_rate", "duration_s"]]
        rows = zip(columns.itertuples(index=False, name=None), clean_paths, strict=True)
        found += [Voice(folder.name, *row, clean_path) for row, clean_path in rows]
        if (folder / REJECTED_NAME).is_file():
            refused = pd.read_csv(folder / REJECTED_NAME, dtype=str, keep_default_na=False)
            rejected.append(refused[["path", "reason"]].assign(source=folder.name))
    for column in ("utt_id", "speaker_id"):
        joined: dict[str, str] = {}
        for voice in found:
            name = f"{voice.source}-{getattr(voice, column)}"
            if joined.setdefault(name, voice.source) != voice.source:
                raise CorpusError(voices, expected=f"sources whose {column} differ", found=f"{name!r} twice")
    return found, pd.concat(rejected, ignore_index=True)


def plan_shards(voices: Sequence[Voice], settings: SteriliseSettings, seed: int) -> list[Shard]:
    """Shuffle the recordings and share them out; the plan depends on its arguments alone."""
    order = keyed_generator(seed, STAGE, "order").permutation(len(voices))
    starts = range(0, len(order), settings.files_per_shard)
    groups = (tuple(voices[i] for i in order[start : start + settings.files_per_shard]) for start in starts)
    return [Shard(f"shard_{number:04d}.npy", group) for number, group in enumerate(groups)]


def sterilise_voice(
    voice: Voice, settings: SteriliseSettings, root: Path, control: bool = False
) -> tuple[dict, np.ndarray, np.ndarray]:
    """Turn one recording into dry clips.

    Args:
        voice: the recording.
        settings: of the stage.
        root: what its paths are relative to.
        control: whether the report also says how near plain noise reduction comes to the truth.

    Returns:
        Its row of the report, the clips float32 ``[n, clip_samples]`` and how many samples of each are speech,
        int64 ``[n]``; no clips where the recording is too short.

    Raises:
        FormatError: the file changed since it was indexed, or the truth does not fit it.
        AudioError: one of the files cannot be read.
    """
    if (found := hash_or_reason(path := root / path_from_text(voice.path))) != voice.sha256:
        remedy = "The file changed since it was indexed: restore it, or build the index (corpus stage) again."
        raise FormatError(voice.path, expected=f"sha256 {voice.sha256}", found=found, remedy=remedy)
    audio = read_audio(path, mono=True)
    wav, rate = np.asarray(audio.wav)[0], audio.sample_rate
    result = _denoised(wav, rate, settings)
    report = _identity(voice) | _NOTHING | {
        "denoised": bool(result.steps), "snr_before_db": result.snr_before_db, "snr_after_db": result.snr_after_db,
        "duration_s": voice.duration_s,
    } | _against_truth(voice, wav, result.wav, rate, root, control)  # fmt: skip
    full = resample(result.wav[None], rate, settings.sample_rate)[0]
    speech, _ = trim(full, settings.sample_rate, settings.trim_top_db)
    seconds = len(speech) / settings.sample_rate
    report["trimmed_s"] = (len(full) - len(speech)) / settings.sample_rate
    if seconds < settings.min_duration_s or len(speech) == 0:
        reason = f"too short: {seconds:.2f} s after trimming, at least {settings.min_duration_s:g} s wanted"
        clips, valid_samples = cut(speech[:0], settings.clip_samples)
        return report | {"outcome": "dropped", "reason": reason}, clips, valid_samples
    report["bandwidth_hz"] = bandwidth_hz(speech, settings.sample_rate)
    if report["bandwidth_hz"] < settings.min_bandwidth_hz:
        reason = f"narrow: {report['bandwidth_hz']:.0f} Hz, at least {settings.min_bandwidth_hz:g} Hz wanted"
        clips, valid_samples = cut(speech[:0], settings.clip_samples)
        return report | {"outcome": "dropped", "reason": reason}, clips, valid_samples
    speech, gain_db = normalise_loudness(speech, settings.sample_rate, settings.loudness_lufs)
    clips, valid_samples = cut(speech, settings.clip_samples)
    report |= {"loudness_before_lufs": settings.loudness_lufs - gain_db, "gain_db": gain_db, "segments": len(clips)}
    return report | {"outcome": "kept", "reason": result.reason}, clips, valid_samples


def quantise(clips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round clips to int16 without clipping any.

    Args:
        clips: float32 ``[n, samples]``.

    Returns:
        int16 ``[n, samples]``, and for each clip the gain that was divided out, max(1, peak), float64 ``[n]``.
    """
    gains = np.maximum(1.0, np.abs(clips).max(axis=1, initial=0.0).astype(np.float64))
    scaled = np.clip(clips / gains[:, None].astype(np.float32), -1, 1) * np.float32(FULL_SCALE)
    return np.rint(scaled).astype(np.int16), gains


def make_shard(shard: Shard, settings: SteriliseSettings, folder: Path, parts: Path, root: Path) -> dict:
    """Write one shard and then its part, unless an earlier run finished both.

    Args:
        shard: what goes in.
        settings: of the stage.
        folder: gets the clips, int16 ``[n, clip_samples]``.
        parts: gets the part.
        root: what the paths of recordings are relative to.

    Returns:
        The part: sha256, bytes, and the rows of both tables.
    """
    path, part_path = folder / shard.name, (parts / shard.name).with_suffix(".json")
    if part_path.is_file() and (part := read_json(part_path))["sha256"] == hash_or_reason(path):
        return part
    reports, segments, blocks = [], [], [np.zeros((0, settings.clip_samples), np.int16)]
    # One noisy voice stands for its shard: the control takes time and goes into no clip.
    control = next((voice for voice in shard.voices if voice.clean_path not in ("", voice.path)), None)
    for voice in shard.voices:
        report, clips, valid_samples = sterilise_voice(voice, settings, root, voice is control)
        stored, gains = quantise(clips)
        reports.append(report)
        blocks.append(stored)
        identity = {key: report[key] for key in ("source", "utt_id", "speaker_id")}
        for number, (valid, gain) in enumerate(zip(valid_samples.tolist(), gains.tolist(), strict=True)):
            segment_id = f"{voice.source}-{voice.utt_id}-{number}"
            row = {"shard": shard.name, "row": len(segments), "valid_samples": valid, "gain": gain}
            segments.append({"segment_id": segment_id} | identity | row)
    with atomic_path(path) as temporary:
        np.save(temporary, np.concatenate(blocks))
    size = path.stat().st_size + ROW_BYTES * len(segments)
    part = {"sha256": sha256_of(path), "bytes": size, "files": reports, "segments": segments}
    write_json(part_path, part)
    return part


def sterilise(
    voices: str | Path, folder: str | Path, parts: str | Path, settings: SteriliseSettings, seed: int,
    root: str | Path = ".",
) -> None:  # fmt: skip
    """Sterilise every recording, as far as the budget goes; called again after a kill, go on from there.

    Args:
        voices: the folder of the corpora of voices.
        folder: gets the shards, ``segments.parquet``, ``files.parquet`` and ``sterilise_state.json``.
        parts: what is known of finished shards; must outlive a kill together with ``folder``.
        settings: of the stage.
        seed: decides the order of the recordings.
        root: what the paths in the indices are relative to.

    Raises:
        ConfigError: the budget is too small for a single shard.
        CorpusError: there are no recordings, or not one is long enough.
        FormatError: a file changed since it was indexed.
    """
    folder, parts = Path(folder).absolute(), Path(parts).absolute()
    found, rejected = read_voices(voices)
    shards = plan_shards(found, settings, seed)
    left = settings.budget_gb * 1e9 - FIXED_BYTES - ROW_BYTES * (len(found) + len(rejected))
    # Workers outlive a change of the working directory, so their paths are absolute.
    work = partial(make_shard, settings=settings, folder=folder, parts=parts, root=Path(root).absolute())
    done: list[dict] = []
    while fitting := _fitting(shards[len(done) :], settings, left - sum(part["bytes"] for part in done)):
        for part in map_items(work, fitting, "Dry vocals"):
            done.append(part)
            _write_state(folder, shards, done, settings, "running")
    if not done:
        expected = f"at least {(settings.budget_gb * 1e9 - left + shards[0].bound_bytes(settings)) / 1e9:.3g}"
        found_gb = f"{settings.budget_gb:g}, which not one shard fits into"
        raise ConfigError("rooms.sterilise.budget_gb", expected=expected, found=found_gb)
    _write_tables(folder, done, rejected)
    _sweep(folder, {shard.name for shard in shards[: len(done)]} | {SEGMENTS_NAME, FILES_NAME, STATE_NAME})
    complete = len(done) == len(shards)
    _write_state(folder, shards, done, settings, "complete" if complete else "halted")
    if not complete:
        logger.warning("Halted by the budget after %d of %d shards; raise budget_gb to go on", len(done), len(shards))


def _fitting(shards: Sequence[Shard], settings: SteriliseSettings, left: float) -> list[Shard]:
    """Return the first shards whose upper bounds fit together."""
    total = np.cumsum([shard.bound_bytes(settings) for shard in shards])
    return list(shards[: int(np.searchsorted(total, left, side="right"))])


def _identity(voice: Voice) -> dict:
    speaker_id = f"{voice.source}-{voice.speaker_id}"
    return {"utt_id": voice.utt_id, "source": voice.source, "speaker_id": speaker_id, "path": voice.path}


def _denoised(wav: np.ndarray, rate: int, settings: SteriliseSettings) -> Denoised:
    if settings.reduce_noise:
        return denoise(wav, rate, settings.clean_snr_db)
    snr_db = estimate_snr_db(wav, rate)
    return Denoised(wav, (), "noise reduction is off", snr_db, snr_db)


def _against_truth(voice: Voice, before: np.ndarray, after: np.ndarray, rate: int, root: Path, control: bool) -> dict:
    if not voice.clean_path:
        return {}
    truth = np.asarray(read_audio(root / path_from_text(voice.clean_path), sample_rate=rate, mono=True).wav)[0]
    if truth.shape != before.shape:
        expected, found = f"{len(before)} samples at {rate} Hz, as {voice.path}", str(len(truth))
        raise FormatError(voice.clean_path, expected=expected, found=found)
    facts = {"sdr_before_db": si_sdr_db(before, truth), "sdr_after_db": si_sdr_db(after, truth)}
    if control and math.isfinite(plain_db := si_sdr_db(default_gating(before, rate), truth)):
        facts["control_sdr_db"] = plain_db
    return facts


def _write_state(folder: Path, shards: list[Shard], done: list[dict], settings: SteriliseSettings, state: str) -> None:
    facts = [
        {"sha256": part["sha256"], "files": len(part["files"]), "segments": len(part["segments"])} for part in done
    ]
    names = [shard.name for shard in shards[: len(done)]]
    value = {
        "state": state,
        "sample_rate": settings.sample_rate,
        "clip_samples": settings.clip_samples,
        "files_done": sum(fact["files"] for fact in facts),
        "files_total": sum(len(shard.voices) for shard in shards),
        "segments": sum(fact["segments"] for fact in facts),
        "shards": dict(zip(names, facts, strict=True)),
    }
    write_json(folder / STATE_NAME, value)


def _write_tables(folder: Path, done: list[dict], rejected: pd.DataFrame) -> None:
    refused = [
        {"utt_id": "", "speaker_id": "", "outcome": "rejected"} | _NOTHING | row for row in rejected.to_dict("records")
    ]
    files = [row for part in done for row in part["files"]] + refused
    segments = [row for part in done for row in part["segments"]]
    if not segments:
        reasons = "; ".join(f"{row['path']}: {row['reason']}" for row in files[:3])
        raise CorpusError("dry vocals", expected="at least one recording long enough", found=reasons)
    for name, rows, types in ((SEGMENTS_NAME, segments, SEGMENT_TYPES), (FILES_NAME, files, FILE_TYPES)):
        with atomic_path(folder / name) as temporary:
            table = pd.DataFrame(rows, columns=list(types)).astype(types)
            table.to_parquet(temporary, index=False, compression="zstd")


def _sweep(folder: Path, keep: set[str]) -> None:
    """Remove what a killed run left half written, and shards that a smaller budget no longer covers."""
    for path in folder.iterdir():
        if path.name not in keep:
            path.unlink()
