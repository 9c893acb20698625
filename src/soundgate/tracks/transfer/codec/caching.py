"""Encodes every chunk of music into the latents of a codec."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from soundgate.codecs.base import Codec
from soundgate.codecs.extraction import map_ahead, operation_threads
from soundgate.runtime.config import Section
from soundgate.runtime.console import track
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.execution import worker_count
from soundgate.runtime.files import atomic_path
from soundgate.runtime.paths import path_from_text
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.chunks import chunk_wavs
from soundgate.tracks.transfer.codec.latents import LatentCache, write_latents

PARTS = "parts"


class CodecCacheSettings(Section):
    """Section ``transfer.codec_cache``.

    Args:
        quantised: keep what the codec's codes stand for instead of the encoder's own latents.
    """

    quantised: bool


class _Track(NamedTuple):
    path: Path
    starts: list[float]
    part: Path


def build_latents(
    settings: CodecCacheSettings, cache: ChunkCache, duration_s: float, codec: Codec, codec_settings: Mapping,
    device: torch.device, work: Path, out: Path,
) -> dict:  # fmt: skip
    """Encode the chunks of all tracks of a chunk cache.

    Args:
        settings: see `CodecCacheSettings`.
        cache: says which chunks there are.
        duration_s: of a chunk.
        codec: on ``device``.
        codec_settings: those it was loaded with.
        device: where the codec computes.
        work: finished tracks are kept here, so that a killed run goes on.
        out: the cache's folder.

    Returns:
        Counts: ``n_chunks``, ``dim``, ``n_frames``, ``frame_rate``.

    Raises:
        CorpusError: there is no music in the chunk cache.
    """
    rows = cache.rows()
    if not len(rows):
        raise CorpusError("transfer-codec-cache", expected="chunks of music", found="none")
    index = cache.index.iloc[rows]
    (work / PARTS).mkdir(parents=True, exist_ok=True)
    items = _items(index, work / PARTS)
    encode = partial(_encoded, settings, duration_s, codec, device)
    with operation_threads(codec.cpu_threads):
        encoded = map_ahead(encode, items, max(1, worker_count() // codec.cpu_threads))
        config = {"codec": codec.name, "settings": dict(codec_settings), "quantised": settings.quantised}
        parts = track(encoded, "codec latents", len(items))
        write_latents(out, rows, parts, (index["split"] == "train").to_numpy(), config)
    n_frames = LatentCache.open(out).n_frames
    shape = {"dim": codec.dim, "n_frames": n_frames, "frame_rate": codec.frame_rate}
    return {"n_chunks": len(rows)} | shape


def _items(index: pd.DataFrame, folder: Path) -> list[_Track]:
    """Return the work of each track, in the order of the index, whose chunks lie together."""
    tracks = index.groupby("track_id", sort=False)
    items = [
        _Track(path_from_text(own["path"].iloc[0]).absolute(), own["start_s"].tolist(), folder / f"{name}.npy")
        for name, own in tracks
    ]
    assert np.array_equal(
        np.concatenate([tracks.indices[name] for name in index["track_id"].unique()]), range(len(index))
    )
    return items


@torch.no_grad()
def _encoded(
    settings: CodecCacheSettings, duration_s: float, codec: Codec, device: torch.device, item: _Track
) -> np.ndarray:
    """Return one track's latents, float16 [n, D, L], and keep them, unless a killed run did."""
    if item.part.is_file():
        return np.load(item.part)
    wavs = chunk_wavs(item.path, item.starts, duration_s, codec.sample_rate)
    latents = codec.encode(torch.from_numpy(wavs)[:, None].to(device))
    if settings.quantised:
        latents = codec.dequantise(codec.quantise(latents))
    part = latents.mT.cpu().numpy().astype(np.float16)
    with atomic_path(item.part) as temporary, temporary.open("wb") as file:
        np.save(file, part)
    return part
