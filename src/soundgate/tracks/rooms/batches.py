"""Batches of triples on disk: `.npz` files that are written once and read by memory map."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import read_json, sha256_of
from soundgate.runtime.npz import write_npz

SOURCE, TARGET, EMBEDDING = "source_audio", "target_audio", "target_clap"
FULL_SCALE = 32767
# Of an archive with three members: local headers, central directory, npy headers.
ARCHIVE_BYTES = 2048
_LOCAL_HEADER = 30


def batch_name(batch: int) -> str:
    """Return the file name of a batch."""
    return f"batch_{batch:04d}.npz"


def meta_name(batch: int) -> str:
    """Return the file name of what is known of each triple of a batch."""
    return f"batch_{batch:04d}_meta.json"


def own_batches(run: Mapping) -> list[dict]:
    """Return the entries of the batches that a run made itself, of all that its checkpoint or manifest lists."""
    return [entry for entry in run["batches"] if entry["run"] == run["run_number"]]


def own_metas(folder: Path, run: Mapping) -> Iterator[dict]:
    """Read what is known of each batch that a run made itself: its ``triples`` and what was ``rejected``.

    Args:
        folder: of the batches.
        run: its checkpoint or manifest.
    """
    return (read_json(folder / meta_name(entry["batch"])) for entry in own_batches(run))


def listed_hashes(entries: list[dict]) -> dict[str, str]:
    """Return the SHA-256 listed for every file of some batches, by file name: the batches, then their metadata."""
    return {entry["file"]: entry["sha256"] for entry in entries} | {
        meta_name(entry["batch"]): entry["meta_sha256"] for entry in entries
    }


def batch_bytes(n_triples: int, samples: int, dim: int) -> int:
    """Return an upper bound of the size of a batch file."""
    return n_triples * (2 * samples * 2 + dim * 4) + ARCHIVE_BYTES


def to_int16(wav: np.ndarray) -> np.ndarray:
    """Return rint(clip(x, -1, 1) · 32767) as int16."""
    scaled = np.clip(wav, -1, 1)
    scaled *= np.float32(FULL_SCALE)
    return np.rint(scaled, out=scaled).astype(np.int16)


def write_batch(path: Path, source: np.ndarray, target: np.ndarray, embedding: np.ndarray) -> str:
    """Write a batch and make it durable; equal arrays give equal bytes.

    Args:
        path: of the file; the caller renames it into place.
        source: int16 ``[N, T]``.
        target: int16 ``[N, T]``.
        embedding: float32 ``[N, D]`` of the target rooms.

    Returns:
        The file's SHA-256.
    """
    with open(path, "wb") as file:
        write_npz(file, {SOURCE: source, TARGET: target, EMBEDDING: embedding})
        file.flush()
        os.fsync(file.fileno())
    return sha256_of(path)


def open_batch(path: str | Path) -> Mapping[str, np.memmap]:
    """Map a batch into memory, read-only, without reading it.

    Returns:
        ``source_audio`` and ``target_audio`` int16 ``[N, T]``, ``target_clap`` float32 ``[N, D]``.

    Raises:
        FormatError: it is not a batch, or a truncated one.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
            members = {info.filename.removesuffix(".npy"): _map(path, file, info) for info in archive.infolist()}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise FormatError(path, expected="a batch of triples", found=str(error)) from error
    if set(members) != {SOURCE, TARGET, EMBEDDING} or len({len(array) for array in members.values()}) != 1:
        found = ", ".join(f"{name} {array.shape}" for name, array in members.items())
        raise FormatError(path, expected=f"{SOURCE}, {TARGET} and {EMBEDDING} of one length", found=found)
    return members


def _map(path: Path, file, info: zipfile.ZipInfo) -> np.memmap:
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{info.filename} is compressed")
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER)
    name_length, extra_length = (int.from_bytes(header[i : i + 2], "little") for i in (26, 28))
    file.seek(info.header_offset + _LOCAL_HEADER + name_length + extra_length)
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, fortran_order, dtype = read(file)
    if fortran_order or dtype.hasobject:
        raise ValueError(f"{info.filename} holds {dtype}, in Fortran order: {fortran_order}")
    return np.memmap(path, dtype, "r", file.tell(), shape)
