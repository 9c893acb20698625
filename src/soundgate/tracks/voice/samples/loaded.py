"""A cache in memory of some utterances of a foreign loader, so that samples are made of them as of our own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from soundgate.audio.loudness import normalise_loudness
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.voice.cache import COLUMNS, FULL_SCALE, VoiceCache
from soundgate.tracks.voice.features import FeatureSettings, track_f0
from soundgate.tracks.voice.loading.batches import spoken_batches

SPLIT = "loader"
_PEAK = 0.99
_SHORTEST_S, _LONGEST_S = 0.5, 15.0
# Utterances of a speaker that have to be there: one to convert, one to know the voice from, one to judge by.
_FEWEST = 3
# Speakers whose utterances are gathered, as a multiple of those needed: not all will have enough.
_OPEN = 4


class Wanted(NamedTuple):
    """How much of a loader is enough.

    Args:
        n_speakers: with ``per_speaker`` utterances each; then no more is read.
        per_speaker: utterances kept of each.
        max_samples: utterances read at most.
    """

    n_speakers: int
    per_speaker: int
    max_samples: int


def cache_of_loader(
    loader: Iterable,
    features: FeatureSettings,
    wanted: Wanted,
    loudness_lufs: float,
    stage: str,
    *,
    sample_rate: int | None = None,
    fields: Mapping[str, str | int] | None = None,
) -> VoiceCache:
    """Return the first utterances of some speakers as the cache would have them, split ``loader``.

    Args:
        loader: see `spoken_batches`.
        features: of the model.
        wanted: see `Wanted`.
        loudness_lufs: of every utterance; lower where its peak would be cut off.
        stage: what errors begin with.
        sample_rate: Hz of batches that do not say their own; None: that of ``features``.
        fields: see `spoken_batches`.

    Raises:
        CorpusError: fewer than two speakers with three usable utterances (half a second, voiced), or a batch that is
            not understood.
    """
    rate, kept, n_read = features.sample_rate, {}, 0
    for batch in spoken_batches(loader, stage, model_rate=rate, sample_rate=sample_rate, fields=fields):
        for wav, length, speaker in zip(batch.wav, batch.lengths, batch.speakers.tolist(), strict=True):
            own = kept.setdefault(str(speaker), []) if len(kept) < _OPEN * wanted.n_speakers else kept.get(str(speaker))
            if own is not None and len(own) < wanted.per_speaker and length >= _SHORTEST_S * rate:
                samples = wav[: min(length, round(_LONGEST_S * rate))].cpu().numpy()
                own.append((n_read, _levelled(samples, rate, loudness_lufs)))
            n_read += 1
        complete = sum(len(own) >= wanted.per_speaker for own in kept.values())
        if complete >= wanted.n_speakers or n_read >= wanted.max_samples:
            break
    return _cache(kept, features, n_read, stage)


def _levelled(wav: np.ndarray, sample_rate: int, loudness_lufs: float) -> np.ndarray:
    """Return int16 samples at a loudness."""
    wav, _ = normalise_loudness(wav, sample_rate, loudness_lufs)
    wav = wav * min(1.0, _PEAK / max(float(np.abs(wav).max()), 1e-9))
    return np.rint(wav * FULL_SCALE).astype(np.int16)


def _cache(
    kept: dict[str, list[tuple[int, np.ndarray]]], features: FeatureSettings, n_read: int, stage: str
) -> VoiceCache:
    rows, samples, fundamentals, counts = [], [], [], []
    for speaker, own in sorted(kept.items()):
        voiced = [
            (number, wav, f0)
            for number, wav in own
            if np.count_nonzero(f0 := track_f0(wav / np.float32(FULL_SCALE), features)) > 1
        ]
        counts.append(len(voiced))
        if len(voiced) < _FEWEST:
            continue
        logs = np.log(np.concatenate([f0[f0 > 0] for _, _, f0 in voiced]))
        for number, wav, f0 in voiced:
            mean, deviation = np.float32(logs.mean()), np.float32(logs.std())
            rows.append((f"utterance {number:06d}", speaker, SPLIT, "", len(wav), mean, deviation))
            samples.append(wav)
            fundamentals.append(f0)
    if len({row[1] for row in rows}) < 2:
        found = f"{len(counts)} speakers among {n_read} utterances, with {sorted(counts, reverse=True)[:5]} usable ones"
        raise CorpusError(
            stage,
            expected=f"two speakers with {_FEWEST} utterances of {_SHORTEST_S:g} s or more in which a voice is heard",
            found=found,
            remedy="A loader that is sorted by speaker needs a larger max_samples, or to be shuffled.",
        )
    packed = {SPLIT: np.concatenate(samples)}, {SPLIT: np.concatenate(fundamentals)}
    return VoiceCache(features, pd.DataFrame(rows, columns=COLUMNS), *packed)
