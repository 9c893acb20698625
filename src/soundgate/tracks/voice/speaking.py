"""Utterances and voices as evaluation takes them from the cache, and how alike two recordings' voices are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.model.converter import VoiceConverter, Voices

# A voice is known from so many seconds of an utterance at most, from its middle.
VOICE_S = 6.0


class Spoken(NamedTuple):
    """What is converted.

    Args:
        wav: float32 [T], whole frames.
        f0: float32 [L] in Hz, 0 where unvoiced.
        own: mean and deviation of the speaker's log-F0.
    """

    wav: np.ndarray
    f0: np.ndarray
    own: tuple[float, float]


def spoken(cache: VoiceCache, row: int, duration_s: float = math.inf) -> Spoken:
    """Return the middle of an utterance, all of it where it is shorter; in whole frames."""
    hop, length = cache.settings.hop_length, int(cache.table["n_samples"].iloc[row])
    n_samples = int(min(duration_s * cache.settings.sample_rate, length)) // hop * hop
    batch = cache.batch([row], n_samples, None)
    own = float(batch.log_f0_mean), float(batch.log_f0_std)
    return Spoken(batch.wav[0].numpy(), batch.f0[0].numpy(), own)


def joined(parts: Iterable[Spoken]) -> Spoken:
    """Return utterances of one speaker, one after another."""
    parts = list(parts)
    f0 = [part.f0[:-1] for part in parts[:-1]] + [parts[-1].f0]
    return Spoken(np.concatenate([part.wav for part in parts]), np.concatenate(f0), parts[0].own)


@torch.no_grad()
def voice_of(model: VoiceConverter, cache: VoiceCache, rows: Iterable[int]) -> Voices:
    """Return one speaker's voice, the mean over utterances, as a batch of one on the model's device."""
    device = next(model.parameters()).device
    found = []
    for row in rows:
        batch = cache.batch([row], len(spoken(cache, row, VOICE_S).wav), None)
        found.append(model.voices(type(batch)(*(part.to(device) for part in batch))))
    embedding = torch.cat([voice.embedding for voice in found]).mean(dim=0, keepdim=True)
    return found[0]._replace(embedding=embedding)


@torch.no_grad()
def embedded(encoder: nn.Module, wav: np.ndarray) -> np.ndarray:
    """Return a recording's speaker embedding, float32 [D], unit length.

    Args:
        encoder: [B, T] to [B, D].
        wav: float32 [T].
    """
    device = next(encoder.parameters()).device
    found = encoder(torch.from_numpy(np.ascontiguousarray(wav, np.float32))[None].to(device))
    return functional.normalize(found, dim=1)[0].cpu().numpy()


def reference_of(encoder: nn.Module, cache: VoiceCache, rows: Iterable[int]) -> np.ndarray:
    """Return a speaker's mean embedding over utterances, float32 [D], unit length."""
    mean = np.mean([embedded(encoder, spoken(cache, row, VOICE_S).wav) for row in rows], axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-9)
