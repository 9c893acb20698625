"""Conversion by nearest neighbours: each frame of the source becomes the mean of those of the target most like it."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from soundgate.tracks.voice.baselines.contract import Frames, Voice
from soundgate.tracks.voice.baselines.features import Cepstra, Features
from soundgate.tracks.voice.baselines.vocoder import LOWEST_RATE, Analysis, Vocoder
from soundgate.tracks.voice.baselines.world import WorldMethod, at_own_level, formant_factor, scaled, stretched

N_NEIGHBOURS = 4
# Similarities in memory at a time, 64 MiB.
_MOST_SIMILARITIES = 2**24
# Deviation of the Gaussian along time that matched envelopes are smoothed by, in WORLD's frames.
_SMOOTHED_FRAMES = 2.0


class NearestNeighbours(WorldMethod):
    """Envelopes of the target's frames that are most like the source's; melody, levels and noise are the source's.

    Args:
        sample_rate: Hz, 16,000 at least.
        features: that frames are compared by; None: the project's own cepstra.
        k: neighbours.
        vocoder: see `soundgate.tracks.voice.baselines.world.WorldMethod`.

    Source: Baas, van Niekerk and Kamper 2023, "Voice conversion with just nearest neighbors".
    Differs: WORLD synthesises, from the means of the neighbours' envelopes, instead of a HiFi-GAN trained on means of
        WavLM's features; F0, level and aperiodicity are the source's (its aperiodicity is rated better than the
        neighbours' mean).
    """

    name = "knn"

    def __init__(
        self,
        sample_rate: int = LOWEST_RATE,
        features: Features | None = None,
        k: int = N_NEIGHBOURS,
        vocoder: Vocoder | None = None,
    ) -> None:
        super().__init__(sample_rate, vocoder)
        self.features, self.k = features or Cepstra(self.vocoder), k

    def gather(self, wav: np.ndarray, analysis: Analysis) -> tuple[np.ndarray, ...]:
        """Return features and coded envelopes of the frames that have features."""
        rows, features = self.features(wav, analysis)
        return features, self.vocoder.code(analysis.envelope)[rows]

    def frames(self, gathered: list[tuple[np.ndarray, ...]]) -> Frames:
        """Return all frames of a speaker, their features normalised."""
        features, envelopes = (np.concatenate(parts) for parts in zip(*gathered, strict=True))
        mean, deviation = np.zeros(features.shape[1], np.float32), np.ones(features.shape[1], np.float32)
        if self.features.weights is not None:
            mean, deviation = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-3) / self.features.weights
        return Frames((features - mean) / deviation, mean, deviation, envelopes)

    def filtered(self, wav: np.ndarray, analysis: Analysis, own: Voice, voice: Voice, formant: float) -> Analysis:
        """Return the frames with the neighbours' envelopes, at their own levels."""
        factor = formant_factor(own, voice, self.sample_rate) if self.features.moves else 1.0
        rows, features = self.features(wav, scaled(analysis, factor))
        asked = (features - own.frames.mean - self._moved(own, factor)) / own.frames.deviation
        places = neighbours(asked, voice.frames.features, self.k)
        found = spread(voice.frames.envelopes[places].mean(axis=1), rows, len(analysis.f0))
        envelope = at_own_level(self.vocoder.decode(found), analysis)
        return scaled(analysis._replace(envelope=envelope), formant)

    def _moved(self, own: Voice, factor: float) -> np.ndarray:
        """Return by how much a speaker's mean features change with the scale of their envelopes' frequencies."""
        if factor == 1:
            return np.zeros_like(own.frames.mean)
        silent = [
            Analysis(np.zeros(1), np.exp(logs)[None], np.ones((1, self.vocoder.n_bins)))
            for logs in (stretched(own.log_envelope, factor), own.log_envelope)
        ]
        after, before = (self.features(np.zeros(0, np.float32), one)[1][0] for one in silent)
        return after - before


def neighbours(asked: np.ndarray, known: np.ndarray, k: int) -> np.ndarray:
    """Return the places of the ``k`` rows most like each one by their cosine, int64 [N1, k].

    Args:
        asked: float32 [N1, D].
        known: float32 [N2, D]; all of them where they are fewer than ``k``.
        k: how many.
    """
    ours, theirs = (torch.nn.functional.normalize(torch.from_numpy(part), dim=1) for part in (asked, known))
    n_rows = max(1, _MOST_SIMILARITIES // len(theirs))
    found = [torch.topk(part @ theirs.T, min(k, len(theirs)), dim=1).indices for part in ours.split(n_rows)]
    return torch.cat(found).numpy()


def spread(values: np.ndarray, rows: np.ndarray, n_frames: int) -> np.ndarray:
    """Return values at some frames for every frame, along straight lines and then smoothed, float64 [n_frames, D].

    Args:
        values: float32 [N, D].
        rows: int64 [N], rising: their frames.
        n_frames: of all.
    """
    every = np.arange(n_frames)
    place = np.clip(np.searchsorted(rows, every, side="right") - 1, 0, max(len(rows) - 2, 0))
    after = np.minimum(place + 1, len(rows) - 1)
    share = np.clip((every - rows[place]) / np.maximum(rows[after] - rows[place], 1), 0, 1)[:, None]
    between = values[place] * (1 - share) + values[after] * share
    return gaussian_filter1d(between, _SMOOTHED_FRAMES, axis=0, mode="nearest")
