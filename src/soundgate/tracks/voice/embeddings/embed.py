"""Embeddings of the utterances of a cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from soundgate.tracks.voice.cache import Utterances, VoiceCache

_BATCH = 32


def utterance_batches(cache: VoiceCache, rows: np.ndarray, crop_s: float) -> Iterator[Utterances]:
    """Yield the middles of utterances in batches.

    Args:
        cache: of the utterances.
        rows: which, in order.
        crop_s: seconds of each; a shorter one ends in silence.
    """
    n_samples = round(crop_s * cache.settings.sample_rate)
    for first in range(0, len(rows), _BATCH):
        yield cache.batch(rows[first : first + _BATCH], n_samples, None)


@torch.no_grad()
def embed_rows(encoder: nn.Module, cache: VoiceCache, rows: np.ndarray, crop_s: float) -> np.ndarray:
    """Return float32 [n, D], the embeddings of the middles of utterances; see `utterance_batches`."""
    device = next(encoder.parameters()).device
    parts = [encoder(batch.wav.to(device)).cpu() for batch in utterance_batches(cache, rows, crop_s)]
    return torch.cat(parts).numpy()
