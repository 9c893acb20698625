"""Codec latents on disk: one array of frames, written by one writer, resumable after a kill at any instant.

``<folder>/latents.zarr`` is a Zarr v3 group (`soundgate.codecs.latent_group`) with latents ``[N, D]``; every shard is
committed by its own manifest, renamed into place after the shard is durable. What no manifest vouches for does not
exist: a resumed writer deletes it. The card ``manifest/store.json``, written last, vouches for the manifests and for
the group's metadata and coordinates: with it the store is finished.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import zarr

from soundgate.codecs.latent_group import (
    LATENTS,
    START_AGAIN,
    create_group,
    describe_utterances,
    open_latents,
    refuse_bare_array,
)
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import fsync_folder, read_json, sha256_of, write_json

STORE_NAME = "latents.zarr"
# Half precision keeps 11 bits: the relative error of values inside its range is near 2e-4.
HALF_PRECISION_LIMIT = 1e-3
# Two encodings of one utterance differ by rounding (bfloat16 at another batch size: near 1e-2), not by more.
SEAM_LIMIT = 0.05


def _shard_path(store: Path, shard: int) -> Path:
    return store / LATENTS / "c" / str(shard) / "0"


def _manifest_path(store: Path, shard: int) -> Path:
    return store / "manifest" / f"{shard:05d}.json"


def _card_path(store: Path) -> Path:
    return store / "manifest" / "store.json"


class LatentStoreWriter:
    """Writes utterances one after the other, a shard at a time, and goes on where a killed writer stopped.

    Args:
        folder: where ``latents.zarr`` goes; one writer at a time.
        dim: latent dimension D.
        sample_rate: the codec's, in Hz.
        hop_length: samples a frame.
        details: what else the readers should know (codec, warm-up frames, plan), as JSON values; attributes of the
            group.
        storage_dtype: ``"float32"``, or ``"float16"`` where every utterance passes an error check.
        chunk_rows: frames a chunk: what one read must decode.
        shard_rows: frames a shard file; a multiple of ``chunk_rows``. One shard is buffered in memory.

    Raises:
        FormatError: the folder holds a store begun with other settings, or by an earlier version.
    """

    def __init__(
        self,
        folder: str | Path,
        dim: int,
        *,
        sample_rate: int,
        hop_length: int,
        details: Mapping[str, object] | None = None,
        storage_dtype: str = "float32",
        chunk_rows: int = 1024,
        shard_rows: int = 32768,
    ) -> None:
        if storage_dtype not in ("float32", "float16"):
            raise FormatError("storage_dtype", expected="float32 or float16", found=repr(storage_dtype))
        self._store = Path(folder) / STORE_NAME
        refuse_bare_array(self._store)
        self._settings = _as_json({
            "dim": dim, "sample_rate": sample_rate, "hop_length": hop_length, "storage_dtype": storage_dtype,
            "chunk_rows": chunk_rows, "shard_rows": shard_rows, "details": dict(details or {}),
        })  # fmt: skip
        self._buffer = np.empty((shard_rows, dim), storage_dtype)
        self._manifests = _committed_manifests(self._store, self._settings)
        self.finished = _card_path(self._store).exists()
        if not self.finished and self._manifests and self._manifests[-1]["stop"] % shard_rows:
            self._manifests.pop()  # A last, short shard would leave the following ones out of line.
        self._utterances = [tuple(row) for manifest in self._manifests for row in manifest["utterances"]]
        self._ids = {utt_id for utt_id, _, _ in self._utterances}
        self._listed = len(self._utterances)
        self._committed_rows = self._manifests[-1]["stop"] if self._manifests else 0
        self._filled = 0
        if not self.finished:
            self._truncate()

    @property
    def committed(self) -> list[str]:
        """Utterances that are wholly on disk, in order; the next to add is the one after the last of them."""
        return [utt_id for utt_id, _, _ in self._utterances[: self._listed]]

    def add(self, utt_id: str, latents: np.ndarray) -> None:
        """Append one utterance; after a resume, the rows of it that are already on disk are kept as they are.

        Args:
            utt_id: not added before.
            latents: ``[L, D]``, float, finite, L >= 1.

        Raises:
            FormatError: a wrong shape, values that are not finite or do not fit the storage, an utterance
                added twice, or one that is not the utterance whose first rows are on disk.
        """
        if self.finished or utt_id in self._ids:
            raise FormatError(utt_id, expected="an utterance not in the store yet", found="one that is")
        rows = _checked(utt_id, latents, self._settings["dim"], self._buffer.dtype)
        offset = sum(self._utterances[-1][1:]) if self._utterances else 0
        rows = self._without_rows_on_disk(utt_id, rows, offset)
        while len(rows) > (space := len(self._buffer) - self._filled):
            self._fill(rows[:space])
            self._commit()
            rows = rows[space:]
        self._fill(rows)
        self._utterances.append((utt_id, offset, len(latents)))
        self._ids.add(utt_id)
        if self._filled == len(self._buffer):
            self._commit()

    def close(self) -> None:
        """Commit the last, short shard, describe the utterances, and write the card that makes it a finished store."""
        if self.finished:
            return
        if self._filled:
            self._commit()
        shards = [sha256_of(_manifest_path(self._store, i)) for i in range(len(self._manifests))]
        described = describe_utterances(self._store, self._utterances)
        for path in described:
            _make_durable(path)
        card = {
            "settings": self._settings, "n_frames": self._committed_rows,
            "n_utterances": len(self._utterances), "manifests_sha256": shards,
            "described_sha256": {path.relative_to(self._store).as_posix(): sha256_of(path) for path in described},
        }  # fmt: skip
        write_json(_card_path(self._store), card)
        self.finished = True

    def _fill(self, rows: np.ndarray) -> None:
        self._buffer[self._filled : self._filled + len(rows)] = rows
        self._filled += len(rows)

    def _without_rows_on_disk(self, utt_id: str, rows: np.ndarray, offset: int) -> np.ndarray:
        """Drop the first rows of an utterance that lie in the last committed shard, if they are its own."""
        kept = self._committed_rows - offset
        if kept <= 0 or self._filled:
            return rows
        on_disk = self._array[offset : self._committed_rows].astype(np.float32)
        again = rows[:kept].astype(np.float32)
        if len(again) < kept or np.linalg.norm(again - on_disk) > SEAM_LIMIT * np.linalg.norm(on_disk):
            raise FormatError(
                self._store, expected=f"the first {kept} frames of utterance {utt_id!r} at row {offset}",
                found="other values", remedy=START_AGAIN,
            )  # fmt: skip
        return rows[kept:]

    def _commit(self) -> None:
        """Write the buffer as the next shard, make it durable, then rename its manifest into place."""
        shard, start, stop = len(self._manifests), self._committed_rows, self._committed_rows + self._filled
        self._array.resize((stop, self._settings["dim"]))
        self._array[start:stop] = self._buffer[: self._filled]
        path = _shard_path(self._store, shard)
        _make_durable(path)
        manifest = {
            "shard": shard, "start": start, "stop": stop, "sha256": sha256_of(path),
            "utterances": [list(row) for row in self._utterances[self._listed :]], "settings": self._settings,
        }  # fmt: skip
        write_json(_manifest_path(self._store, shard), manifest)
        self._manifests.append(manifest)
        self._listed, self._committed_rows, self._filled = len(self._utterances), stop, 0

    def _truncate(self) -> None:
        """Delete whatever no manifest vouches for and describe the rest as a group again."""
        vouched = {path for i in range(len(self._manifests)) for path in (
            _shard_path(self._store, i), _manifest_path(self._store, i))}  # fmt: skip
        for path in sorted(self._store.rglob("*"), reverse=True):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
            elif path.is_file() and path not in vouched:
                path.unlink()
        self._array = create_group(self._store, self._settings, self._committed_rows)


class LatentStore:
    """A finished store, read in slices.

    Attributes:
        n_frames: N, rows of the array.
        dim: D.
        sample_rate: the codec's, in Hz.
        hop_length: samples a frame.
        frame_rate: frames a second.
        details: what the writer was told beside these.
    """

    def __init__(self, store: Path, card: Mapping, array: zarr.Array) -> None:
        settings = card["settings"]
        self._store, self._array, self._manifests_sha256 = store, array, card["manifests_sha256"]
        self._described_sha256: dict[str, str] = card["described_sha256"]
        self.n_frames: int = card["n_frames"]
        self.dim: int = settings["dim"]
        self.sample_rate: int = settings["sample_rate"]
        self.hop_length: int = settings["hop_length"]
        self.frame_rate: float = self.sample_rate / self.hop_length
        self.details: dict = settings["details"]
        self._chunk_rows: int = settings["chunk_rows"]

    @classmethod
    def open(cls, folder: str | Path) -> LatentStore:
        """Open the store in ``folder``.

        Raises:
            FormatError: there is none, it was not finished, an earlier version wrote it, or its array has another size
                than its card says.
        """
        store = Path(folder) / STORE_NAME
        try:
            array = open_latents(store)
            card = read_json(_card_path(store))
        except (OSError, ValueError) as error:
            raise FormatError(
                store, expected="a finished latent store", found=str(error) or type(error).__name__,
                remedy="Run the extraction again: it goes on where it stopped.",
            ) from error  # fmt: skip
        shape = (card["n_frames"], card["settings"]["dim"])
        if array.shape != shape:
            raise FormatError(store, expected=f"an array {shape}", found=str(array.shape), remedy=START_AGAIN)
        return cls(store, card, array)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return frames ``start`` to ``stop`` (exclusive) as float32 ``[stop - start, D]``.

        Rows of a missing shard are NaN: ``verify`` says which.

        Raises:
            FormatError: the rows are not all inside the store, or a chunk's checksum is wrong.
        """
        if not 0 <= start <= stop <= self.n_frames:
            raise FormatError(self._store, expected=f"rows in 0..{self.n_frames}", found=f"{start}..{stop}")
        try:
            return np.asarray(self._array[start:stop], np.float32)
        except ValueError as error:
            raise FormatError(
                self._store, expected=f"sound chunks for rows {start}..{stop}", found=str(error),
                remedy=START_AGAIN,
            ) from error  # fmt: skip

    def read_utterance(self, utt_id: str) -> np.ndarray:
        """Return the frames of one utterance as float32 ``[n_frames, D]``.

        Raises:
            FormatError: there is no such utterance, or a chunk's checksum is wrong.
        """
        if utt_id not in self._spans:
            raise FormatError(self._store, expected=f"an utterance {utt_id!r}", found="none of that id")
        offset, n_frames = self._spans[utt_id]
        return self.read(offset, offset + n_frames)

    @cached_property
    def _spans(self) -> dict[str, tuple[int, int]]:
        return {utt_id: (offset, n) for utt_id, offset, n in self.utterances().itertuples(index=False, name=None)}

    def chunks(self, rows: int = 8192, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield ``(first row, frames [<= rows, D] float32)`` over ``start`` to ``stop``, block by block.

        Blocks end on multiples of ``rows``; fastest where that is a multiple of the chunk's (1,024).
        """
        stop = self.n_frames if stop is None else stop
        while start < stop:
            end = min(stop, (start // rows + 1) * rows)
            yield start, self.read(start, end)
            start = end

    def utterances(self) -> pd.DataFrame:
        """Return ``utt_id``, ``offset`` (first row) and ``n_frames`` of every utterance, in stored order."""
        manifests = [read_json(_manifest_path(self._store, i)) for i in range(len(self._manifests_sha256))]
        rows = [row for manifest in manifests for row in manifest["utterances"]]
        return pd.DataFrame(rows, columns=["utt_id", "offset", "n_frames"])

    def verify(self) -> None:
        """Hash every shard and manifest, the group's metadata and its coordinates.

        Raises:
            FormatError: the first file that is missing or has other bytes, by its path.
        """
        for name, sha256 in self._described_sha256.items():
            _require_sha256(self._store / name, sha256)
        for shard, manifest_sha256 in enumerate(self._manifests_sha256):
            manifest = _manifest_path(self._store, shard)
            _require_sha256(manifest, manifest_sha256)
            _require_sha256(_shard_path(self._store, shard), read_json(manifest)["sha256"])


def _require_sha256(path: Path, expected: str) -> None:
    found = sha256_of(path) if path.exists() else "no such file"
    if found != expected:
        raise FormatError(path, expected=f"sha256 {expected}", found=found, remedy=START_AGAIN)


def _committed_manifests(store: Path, settings: dict) -> list[dict]:
    """Return the leading manifests that are readable and whose shard has the bytes they promise."""
    manifests: list[dict] = []
    while (path := _manifest_path(store, len(manifests))).exists():
        try:
            manifest = read_json(path)
        except ValueError:
            break
        if manifest["settings"] != settings:
            raise FormatError(
                store, expected=f"settings {settings}", found=str(manifest["settings"]), remedy=START_AGAIN
            )
        shard = _shard_path(store, len(manifests))
        if not shard.exists() or sha256_of(shard) != manifest["sha256"]:
            break
        manifests.append(manifest)
    return manifests


def _checked(utt_id: str, latents: np.ndarray, dim: int, storage_dtype: np.dtype) -> np.ndarray:
    """Return the rows in the storage's type, having made sure that they survive it."""
    if latents.ndim != 2 or latents.shape[1] != dim or len(latents) < 1:
        raise FormatError(utt_id, expected=f"latents [L >= 1, {dim}]", found=str(latents.shape))
    if not np.isfinite(latents).all():
        raise FormatError(utt_id, expected="finite latents", found="NaN or infinity", remedy="Look at its audio.")
    if storage_dtype == latents.dtype:
        return latents
    with np.errstate(over="ignore"):
        stored = latents.astype(storage_dtype)
    error = np.linalg.norm(stored.astype(np.float32) - latents)
    if not error <= HALF_PRECISION_LIMIT * np.linalg.norm(latents):
        raise FormatError(
            utt_id, expected=f"a relative error in {storage_dtype} of at most {HALF_PRECISION_LIMIT}",
            found=f"{error / np.linalg.norm(latents):.3g}", remedy="Store float32.",
        )  # fmt: skip
    return stored


def _make_durable(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    for folder in (path.parent, path.parent.parent):
        fsync_folder(folder)


def _as_json(value: dict) -> dict:
    return json.loads(json.dumps(value, allow_nan=False))
