"""The Zarr v3 group of a latent store: what `zarr.open_group` and `xarray.open_zarr` find in it.

Variables: ``latents`` ``[frame, feature]``. Coordinates of dimension ``utterance``: ``utterance`` (ids), ``offset``
(first frame) and ``n_frames``. Attributes of the group: what the latents are.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec
from zarr.errors import ZarrUserWarning
from zarr.storage import LocalStore

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import read_json

LATENTS = "latents"
COORDINATES = ("utterance", "offset", "n_frames")
START_AGAIN = "Remove the folder and extract again."


def create_group(store: Path, settings: Mapping, n_frames: int) -> zarr.Array:
    """Describe a store as a group with one array of latents; shards that lie in its place become its content.

    Args:
        store: folder of the group.
        settings: ``dim``, ``sample_rate``, ``hop_length``, ``storage_dtype``, ``chunk_rows``, ``shard_rows`` and
            ``details``.
        n_frames: rows of the array.

    Returns:
        The array, float ``[n_frames, dim]``.
    """
    rates = {key: settings[key] for key in ("sample_rate", "hop_length")}
    attributes = rates | {
        "frame_rate": settings["sample_rate"] / settings["hop_length"],
        **settings["details"],
        "coordinates": " ".join(COORDINATES[1:]),
    }
    group = zarr.create_group(LocalStore(store), attributes=attributes)
    dim, chunk, shard = (settings[key] for key in ("dim", "chunk_rows", "shard_rows"))
    return group.create_array(
        LATENTS, shape=(n_frames, dim), dtype=settings["storage_dtype"], chunks=(chunk, dim), shards=(shard, dim),
        fill_value=math.nan, compressors=[Crc32cCodec()], dimension_names=["frame", "feature"],
    )  # fmt: skip


def describe_utterances(store: Path, utterances: Sequence[tuple[str, int, int]]) -> list[Path]:
    """Write ids, offsets and lengths as coordinates, and the metadata of all arrays into the group's own.

    Args:
        store: folder of the group.
        utterances: id, first frame and number of frames of each, in stored order.

    Returns:
        Every file of the group that is no shard of latents, sorted.

    Source: CF conventions 1.11, section 9.3.3 (contiguous ragged array: ``sample_dimension``).
    """
    group = zarr.open_group(LocalStore(store), use_consolidated=False)
    ids, offsets, lengths = zip(*utterances, strict=True)
    options = {"compressors": [Crc32cCodec()], "dimension_names": ["utterance"], "overwrite": True}
    names = group.create_array("utterance", shape=(len(ids),), dtype="string", **options)
    names[:] = np.array(ids, dtype=object)
    group.create_array("offset", data=np.array(offsets, np.int64), **options)
    group.create_array(
        "n_frames", data=np.array(lengths, np.int64), attributes={"sample_dimension": "frame"}, **options
    )
    with warnings.catch_warnings():
        # Consolidated metadata is an extension of Zarr v3; readers without it read every array's own.
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(group.store)
    files = [store / "zarr.json", store / LATENTS / "zarr.json"]
    return sorted(files + [path for name in COORDINATES for path in (store / name).rglob("*") if path.is_file()])


def open_latents(store: Path) -> zarr.Array:
    """Open the array of latents for reading.

    Raises:
        FormatError: a store of an earlier version, see `refuse_bare_array`.
        OSError, ValueError: there is no readable group.
    """
    refuse_bare_array(store)
    return zarr.open_array(LocalStore(store, read_only=True), path=LATENTS, mode="r")


def refuse_bare_array(store: Path) -> None:
    """Refuse a store of before the group, whose folder is the array itself.

    Raises:
        FormatError: it is one.
    """
    try:
        found = read_json(store / "zarr.json").get("node_type")
    except (OSError, ValueError):  # None yet, or what a kill left of it.
        return
    if found == "array":
        raise FormatError(
            store, expected="a Zarr group", found="a bare array, as an earlier version wrote it", remedy=START_AGAIN
        )
