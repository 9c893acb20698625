"""What a finished Lab 1 and the descriptor say of every track."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from soundgate.audio.mel import MelSettings, MelTransform, to_model
from soundgate.runtime.execution import map_items
from soundgate.runtime.ledger import Ledger
from soundgate.runtime.paths import path_from_text
from soundgate.tracks.transfer.cache import N_FRAMES
from soundgate.tracks.transfer.chunks import ChunkSettings, chunk_starts, chunk_wavs
from soundgate.tracks.transfer.content.model import ContentModel
from soundgate.tracks.transfer.style.descriptor import descriptor32


class Heard(NamedTuple):
    """Tracks as they were heard, means over a track's chunks.

    Args:
        descriptor: float [n, 32], dB.
        style: float [n, 128], Lab 1's; None without Lab 1.
        music: float [n], probability of music; None without Lab 1.
    """

    descriptor: np.ndarray
    style: np.ndarray | None
    music: np.ndarray | None


class _Item(NamedTuple):
    """One track."""

    track_id: str
    path: Path
    starts: list[float]


def listen(
    table: pd.DataFrame,
    model: ContentModel | None,
    mel: MelSettings,
    chunks: ChunkSettings,
    seed: int,
    ledger: Ledger,
) -> Heard:
    """Hear tracks.

    Args:
        table: columns track_id, path, duration_s, group.
        model: a finished Lab 1, on the CPU.
        mel: what it was trained on.
        chunks: which pieces of a track are heard.
        seed: of random starts.
        ledger: keeps finished tracks.

    Raises:
        AudioError: a file cannot be used.
    """
    items = [
        _Item(row.track_id, path_from_text(row.path).absolute(), chunk_starts(row.duration_s, chunks, seed, row.group))
        for row in table.itertuples()
    ]
    heard = list(map_items(partial(_listen_to, model, mel, chunks.duration_s, ledger), items, "listening to tracks"))
    columns = {name: np.array([one[name] for one in heard]) for name in (heard[0] if heard else ())}
    return Heard(columns.get("descriptor", np.zeros((0, 32))), columns.get("style"), columns.get("music"))


def _listen_to(model: ContentModel | None, mel: MelSettings, duration_s: float, ledger: Ledger, item: _Item) -> dict:
    return ledger.once(f"heard {item.track_id}", partial(_heard, model, mel, duration_s, item))


@torch.no_grad()
def _heard(model: ContentModel | None, mel: MelSettings, duration_s: float, item: _Item) -> dict:
    wavs = chunk_wavs(item.path, item.starts, duration_s, mel.sample_rate)
    decibels = MelTransform(mel)(torch.from_numpy(wavs))[..., :N_FRAMES]
    heard = {"descriptor": descriptor32(decibels).mean(dim=0).numpy()}
    if model is not None:
        analysis = model(to_model(decibels))
        heard["style"] = analysis.style.mean(dim=0).numpy()
        heard["music"] = float(torch.sigmoid(analysis.music_logit).mean())
    return heard
