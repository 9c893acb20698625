"""Zero-shot labels: a track has the genre whose prompt CLAP hears in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import numpy as np
import pandas as pd
from scipy.special import softmax

from soundgate.runtime.console import track
from soundgate.runtime.ledger import Ledger
from soundgate.runtime.paths import path_from_text
from soundgate.tracks.transfer.chunks import ChunkSettings, chunk_starts, chunk_wavs
from soundgate.tracks.transfer.labels.settings import PLACE, ClapSettings
from soundgate.tracks.transfer.labels.table import drop

# Tracks in one pass through the model.
BATCH = 8
LOW_CONFIDENCE = "low confidence"


class AudioTextModel(Protocol):
    """What hears audio and reads text in one space; `soundgate.embeddings.clap.ClapEmbedder` does."""

    sample_rate: int

    @property
    def logit_scale(self) -> float:
        """Multiplies cosines before a softmax over texts."""

    def embed(self, wavs: Sequence[np.ndarray]) -> np.ndarray:
        """Return float32 [N, D] of unit length."""

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 [N, D] of unit length."""


def probabilities(audio: np.ndarray, text: np.ndarray, logit_scale: float) -> np.ndarray:
    """Return how probable each text is for one track.

    Args:
        audio: [n, D] of unit length: the track's chunks.
        text: [G, D] of unit length.
        logit_scale: the model's own, about 14 to 100. Without it cosines, which differ by a few tenths, would
            make all texts equally probable.

    Returns:
        float [G], sums to 1: a softmax over the mean of the chunks' logits.

    Source: Radford et al. 2021 (CLIP), section 2.3; Wu et al. 2023, section 3.1.
    """
    return softmax(logit_scale * (audio @ text.T).mean(axis=0, dtype=np.float64))


def zero_shot(
    table: pd.DataFrame,
    model: AudioTextModel,
    settings: ClapSettings,
    chunks: ChunkSettings,
    seed: int,
    ledger: Ledger,
) -> pd.DataFrame:
    """Label every kept track by what CLAP hears.

    Args:
        table: see `soundgate.tracks.transfer.labels.table.open_table`.
        model: see `AudioTextModel`.
        settings: see `ClapSettings`.
        chunks: which pieces of a track are heard.
        seed: of random starts.
        ledger: keeps finished batches.

    Returns:
        The table with genre and confidence, the probability; a track below min_confidence is dropped.

    Raises:
        AudioError: a file cannot be used.
        WeightsError: the model has no text side.
    """
    text = model.embed_text([settings.prompt.replace(PLACE, label) for label in settings.labels])
    kept = table.index[table["kept"]]
    batches = [table.loc[kept[first : first + BATCH]] for first in range(0, len(kept), BATCH)]
    rows = []
    for batch in track(batches, "zero-shot labels"):
        hear = partial(_hear, batch, model, text, chunks, seed)
        rows += ledger.once(f"clap {batch['utt_id'].iloc[0]}", hear)["probabilities"]
    found = np.array(rows)
    genre = pd.Series("", index=table.index)
    genre.loc[kept] = np.array(settings.labels)[found.argmax(axis=1)]
    confidence = pd.Series(0.0, index=table.index)
    confidence.loc[kept] = found.max(axis=1)
    reasons = f"{LOW_CONFIDENCE}: " + confidence.map("{:.3f}".format)
    table = table.assign(genre=genre, confidence=confidence)
    return drop(table, confidence < settings.min_confidence, reasons)


def _hear(batch: pd.DataFrame, model: AudioTextModel, text: np.ndarray, chunks: ChunkSettings, seed: int) -> dict:
    starts = [chunk_starts(row.duration_s, chunks, seed, row.group) for row in batch.itertuples()]
    wavs = [
        wav
        for path, own in zip(batch["path"], starts, strict=True)
        for wav in chunk_wavs(path_from_text(path), own, chunks.duration_s, model.sample_rate)
    ]
    bounds = np.cumsum([len(own) for own in starts])[:-1]
    audio = np.split(model.embed(wavs), bounds)
    return {"probabilities": [probabilities(own, text, model.logit_scale) for own in audio]}
