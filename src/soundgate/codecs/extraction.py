"""Codec latents of a corpus: read, resample, encode, store; resumable, and the same bytes however it is run.

What is pinned, so that the bytes depend on the index, the codec and the parameters alone: batches are planned
before anything is read; utterances are stored in the order of the index; on a CPU every operation has the
codec's own number of threads, so that the number of workers and of cores cannot change a sum. On a GPU the
same batch gives the same values on the same model of GPU; but a batch that runs out of memory is encoded in
halves, and there the free memory can change the last digits (float32: about 1e-6 relative). The log says so.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from torch.overrides import TorchFunctionMode

from soundgate.audio.io import read_audio
from soundgate.codecs.base import Codec
from soundgate.codecs.latent_store import LatentStore, LatentStoreWriter
from soundgate.runtime.console import logger, track
from soundgate.runtime.device import keep_freed_memory
from soundgate.runtime.errors import ConfigError, CorpusError, FormatError
from soundgate.runtime.execution import worker_count
from soundgate.runtime.files import atomic_path, sha256_of
from soundgate.runtime.paths import path_from_text

INDEX_NAME = "latents_index.parquet"
# Utterances are sorted by length inside a window of the index only, which bounds what is encoded but not
# stored yet: an hour of 512-D latents at 12.5 Hz is 92 MB, of 128-D at 75 Hz 138 MB.
WINDOW_S = 3600.0
# Measured by benchmarks/extraction.py: a CPU is fastest with one utterance a batch.
GPU_BATCH_S = 320.0

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Utterance:
    """One row of the index, as far as extraction reads it."""

    utt_id: str
    path: Path
    sha256: str
    samples: int
    sample_rate: int


def plan_batches(durations_s: Sequence[float], batch_seconds: float, window_s: float = WINDOW_S) -> list[list[int]]:
    """Group utterances of like length into batches; the plan depends on its arguments alone.

    Args:
        durations_s: length of each utterance in seconds, in the order of the index.
        batch_seconds: longest utterance times number of utterances in a batch, at most; 0 gives one each.
        window_s: seconds of consecutive utterances among which lengths are sorted.

    Returns:
        Positions in ``durations_s``, each exactly once; no batch holds utterances of two windows.
    """
    durations = np.asarray(durations_s, np.float64)
    windows = np.floor((np.cumsum(durations) - durations) / window_s)
    batches: list[list[int]] = []
    for window in np.unique(windows):
        members = np.flatnonzero(windows == window)
        longest, *others = members[np.argsort(-durations[members], kind="stable")].tolist()
        mine = [[longest]]
        for position in others:
            if (len(mine[-1]) + 1) * durations[mine[-1][0]] <= batch_seconds:
                mine[-1].append(position)
            else:
                mine.append([position])
        batches += sorted(mine, key=min)
    return batches


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of the items, computed by threads a bounded distance ahead.

    Args:
        function: must be safe to call from several threads.
        items: the work, drawn only as far ahead as it is computed.
        workers: threads; at most twice as many results wait at a time.
    """
    pending: deque = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def read_utterance(utterance: Utterance, sample_rate: int) -> np.ndarray:
    """Read one utterance as it was indexed, mixed to mono at the codec's rate.

    Args:
        utterance: its row of the index.
        sample_rate: wanted, in Hz.

    Returns:
        float32 ``[T]`` in [-1, 1].

    Raises:
        FormatError: the file is gone or is not the one that was indexed.
        AudioError: it cannot be read.
    """
    found = sha256_of(utterance.path) if utterance.path.is_file() else "no such file"
    remedy = "The file changed since it was indexed: restore it, or build the index (corpus stage) again."
    if found != utterance.sha256:
        raise FormatError(utterance.path, expected=f"sha256 {utterance.sha256}", found=found, remedy=remedy)
    wav = np.asarray(read_audio(utterance.path, sample_rate=sample_rate, mono=True).wav)[0]
    expected = utterance.samples * sample_rate / utterance.sample_rate
    if abs(len(wav) - expected) > 1:
        raise FormatError(
            utterance.path, expected=f"{utterance.samples} samples ({expected:.0f} at {sample_rate} Hz)",
            found=f"{len(wav)} at {sample_rate} Hz", remedy=remedy,
        )  # fmt: skip
    return wav


def encode_batch(
    codec: Codec, wavs: Sequence[np.ndarray], device: torch.device, dtype: str = "float32"
) -> list[np.ndarray]:
    """Encode whole utterances together, each as if it were alone.

    Args:
        codec: on ``device``.
        wavs: float32 ``[T]`` each, at the codec's rate; zero-padded here to whole frames of the longest.
        device: where ``codec`` computes.
        dtype: ``"float32"``, or ``"bfloat16"`` for autocast.

    Returns:
        float32 ``[ceil(T / hop_length), dim]`` for each. Where a GPU runs out of memory, the halves of the
        batch are encoded one after the other.

    Raises:
        torch.OutOfMemoryError: a single utterance does not fit.
    """
    frames = [-(-len(wav) // codec.hop_length) for wav in wavs]
    padded = torch.zeros(len(wavs), 1, max(frames) * codec.hop_length)
    for row, wav in zip(padded, wavs, strict=True):
        row[0, : len(wav)] = torch.from_numpy(wav)
    try:
        with torch.inference_mode(), _bfloat16(device) if dtype == "bfloat16" else nullcontext():
            latents = codec.encode(padded.to(device)).float().cpu().numpy()
    except torch.OutOfMemoryError:
        if len(wavs) == 1:
            raise
        latents = None
    if latents is None:  # Outside the handler, whose traceback would keep the tensors alive.
        torch.cuda.empty_cache()
        logger.warning("Out of memory with %d utterances of up to %d frames: halved", len(wavs), max(frames))
        half = len(wavs) // 2
        return [x for part in (wavs[:half], wavs[half:]) for x in encode_batch(codec, part, device, dtype)]
    return [row[:length] for row, length in zip(latents, frames, strict=True)]


@contextmanager
def _bfloat16(device: torch.device) -> Iterator[None]:
    with torch.autocast(device.type, torch.bfloat16), _StayInBfloat16():
        yield


class _StayInBfloat16(TorchFunctionMode):
    """Pads and concatenates bfloat16 as it is.

    Autocast does both in float32 (on a CPU; joining goes to the widest type on every device), though neither
    computes anything: those copies of the largest activations cost a fifth of the time, for the same latents.
    """

    def __torch_function__(
        self, function: Callable, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> object:
        """Call ``function``, keeping out of autocast where it only moves values."""
        kwargs = kwargs or {}
        if function is torch.cat and any(x.dtype is torch.bfloat16 for x in args[0]):
            with torch.autocast(args[0][0].device.type, enabled=False):
                return function([x.bfloat16() for x in args[0]], *args[1:], **kwargs)
        if function is torch.nn.functional.pad:
            with torch.autocast(args[0].device.type, enabled=False):
                return function(*args, **kwargs)
        return function(*args, **kwargs)


def extract_latents(
    index: pd.DataFrame, codec: Codec, folder: str | Path, *, device: torch.device, dtype: str = "float32",
    batch_seconds: float | None = None, storage_dtype: str = "float32", min_duration_s: float = 3.0,
    workers: int | None = None, root: str | Path = ".", chunk_rows: int = 1024, shard_rows: int = 32768,
) -> pd.DataFrame:  # fmt: skip
    """Encode every utterance of an index into ``folder``; called again after a kill, go on from there.

    Args:
        index: utt_id, speaker_id, path, sha256, samples, sample_rate, duration_s; other columns are kept.
        codec: moved to ``device``; on a CPU its ``encode`` is called by ``workers`` threads at once.
        folder: gets ``latents.zarr`` and, last, ``latents_index.parquet``.
        device: where to encode.
        dtype: ``"float32"``, or ``"bfloat16"`` (autocast: faster, about 1 % off).
        batch_seconds: audio a batch, padding included; by default one utterance on a CPU, 320 s on a GPU.
        storage_dtype: ``"float32"``, or ``"float16"`` where every utterance passes an error check.
        min_duration_s: shorter utterances are left out and counted.
        workers: threads; by default ``worker_count()``. Does not change the bytes.
        root: what relative paths of the index are relative to.
        chunk_rows, shard_rows: frames a chunk and a shard of the store.

    Returns:
        The rows encoded, in the order of the index, with ``offset`` and ``n_frames``; ``attrs`` describes the
        codec and the store, and says how many utterances were left out.

    Raises:
        ConfigError: an unknown ``dtype``.
        CorpusError: no utterance is long enough, or one appears twice.
        FormatError: a file changed since it was indexed, or ``folder`` holds another extraction.
    """
    if dtype not in ("float32", "bfloat16"):
        raise ConfigError("dtype", expected="float32 or bfloat16", found=repr(dtype))
    if batch_seconds is None:
        batch_seconds = 0.0 if device.type == "cpu" else GPU_BATCH_S
    # Of a single sample nothing may be left at the codec's rate.
    usable = _usable(index, max(min_duration_s, 2 / codec.sample_rate))
    utterances = _utterances(usable, Path(root))
    batches = plan_batches(usable["duration_s"], batch_seconds)
    writer = LatentStoreWriter(
        folder, codec.dim, sample_rate=codec.sample_rate, hop_length=codec.hop_length,
        details=_details(codec, usable, batches) | {
            "dtype": dtype, "min_duration_s": min_duration_s, "n_skipped_short": len(index) - len(usable)},
        storage_dtype=storage_dtype, chunk_rows=chunk_rows, shard_rows=shard_rows,
    )  # fmt: skip
    first = len(writer.committed)
    todo = [batch for batch in batches if max(batch) >= first]
    started = time.perf_counter()
    keep_freed_memory()
    with operation_threads(codec.cpu_threads):
        latents = _encoded(utterances, todo, codec.to(device), device, dtype, workers or worker_count())
        _store(writer, utterances, first, track(zip(todo, latents, strict=True), "Latents", len(todo)))
    writer.close()
    _log(usable, first, len(index) - len(usable), time.perf_counter() - started)
    return _write_index(usable, Path(folder))


@contextmanager
def operation_threads(count: int) -> Iterator[None]:
    """Give each operation ``count`` threads while inside, so that sums do not depend on the number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _usable(index: pd.DataFrame, min_duration_s: float) -> pd.DataFrame:
    repeated = index["utt_id"][index["utt_id"].duplicated()]
    if len(repeated):
        raise CorpusError("index", expected="every utt_id once", found=f"{repeated.iloc[0]!r} again")
    usable = index[index["duration_s"] >= min_duration_s].reset_index(drop=True)
    if usable.empty:
        raise CorpusError("index", expected=f"utterances of at least {min_duration_s} s", found="none")
    return usable


def _utterances(index: pd.DataFrame, root: Path) -> list[Utterance]:
    rows = index[["utt_id", "path", "sha256", "samples", "sample_rate"]].itertuples(index=False, name=None)
    return [Utterance(utt_id, root / path_from_text(path), *facts) for utt_id, path, *facts in rows]


def _details(codec: Codec, index: pd.DataFrame, batches: list[list[int]]) -> dict:
    """Describe what the latents come from, closely enough that no other extraction goes on in its folder."""
    rows = index[["utt_id", "sha256", "samples", "sample_rate"]].to_numpy().tolist()
    return {
        "codec": codec.name, "codec_settings": codec.settings.model_dump(mode="json", exclude={"weights"}),
        "latent_space": codec.latent_space, "weights_sha256": _weights_sha256(codec),
        "warmup_frames": codec.warmup_frames,
        "plan_sha256": hashlib.sha256(json.dumps([rows, batches]).encode()).hexdigest(),
    }  # fmt: skip


def _weights_sha256(codec: Codec) -> str | None:
    """Hash what the latents depend on beside the settings; None where there are no weights."""
    if not codec.state_dict():
        return None
    digest = hashlib.sha256()
    for name, tensor in sorted(codec.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {list(values.shape)}\n".encode())
        digest.update(values.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _encoded(
    utterances: list[Utterance], batches: list[list[int]],
    codec: Codec, device: torch.device, dtype: str, workers: int,
) -> Iterator[list[np.ndarray]]:  # fmt: skip
    """Yield the latents of each batch, read ahead; on a CPU of many cores, batches are encoded side by side."""

    def read(batch: list[int]) -> list[np.ndarray]:
        return [read_utterance(utterances[position], codec.sample_rate) for position in batch]

    def encode(wavs: list[np.ndarray]) -> list[np.ndarray]:
        return encode_batch(codec, wavs, device, dtype)

    encoders = max(1, workers // codec.cpu_threads) if device.type == "cpu" else 1
    if encoders == workers:
        return map_ahead(lambda batch: encode(read(batch)), batches, workers)
    wavs = map_ahead(read, batches, workers)
    return map_ahead(encode, wavs, encoders) if encoders > 1 else map(encode, wavs)


def _store(
    writer: LatentStoreWriter, utterances: list[Utterance], first: int,
    encoded: Iterable[tuple[list[int], list[np.ndarray]]],
) -> None:  # fmt: skip
    """Add utterances ``first`` onwards in the order of the index, holding back what comes early."""
    early: dict[int, np.ndarray] = {}
    position = first
    for batch, latents in encoded:
        early.update((i, rows) for i, rows in zip(batch, latents, strict=True) if i >= first)
        while position in early:
            writer.add(utterances[position].utt_id, early.pop(position))
            position += 1


def _write_index(usable: pd.DataFrame, folder: Path) -> pd.DataFrame:
    for left_by_a_kill in folder.glob(f".{Path(INDEX_NAME).stem}.*.partial*"):
        left_by_a_kill.unlink()
    store = LatentStore.open(folder)
    index = usable.merge(store.utterances(), on="utt_id", validate="one_to_one")
    index.attrs = {
        "sample_rate": store.sample_rate, "hop_length": store.hop_length, "frame_rate": store.frame_rate,
        "dim": store.dim, "n_frames": store.n_frames, **store.details,
    }  # fmt: skip
    with atomic_path(folder / INDEX_NAME) as temporary:
        index.to_parquet(temporary, index=False)
    return index


def _log(usable: pd.DataFrame, first: int, n_skipped: int, seconds: float) -> None:
    audio_s = float(usable["duration_s"].iloc[first:].sum())
    logger.info(
        "Latents: %d utterances, %.0f s of audio in %.1f s (%.1f audio seconds per second); "
        "%d committed before, %d left out as too short",
        len(usable) - first, audio_s, seconds, audio_s / max(seconds, 1e-9), first, n_skipped,
    )  # fmt: skip
