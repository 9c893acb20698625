"""Copies of speakers at other speeds, which count as further speakers: pitch and formants move, as in other throats."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torchaudio.transforms import Resample

from soundgate.tracks.voice.cache import VoiceCache

# Speeds are whole percents, so that resampling is between small whole numbers.
_PERCENT = 100
# A resampled crop may lack this many samples at its end.
_SPARE = 8


class Speeds:
    """Crops of utterances played faster or slower.

    Args:
        speeds: 1 is the speaker; above it pitch, formants and tempo are raised.

    Source: Yamamoto, Lee, Okabe and Koshinaka 2019, "Speaker augmentation and bandwidth extension for deep speaker
        embedding", section 3.1.
    """

    def __init__(self, speeds: list[float]) -> None:
        self.speeds = np.asarray(speeds)
        self._resample = [Resample(round(_PERCENT * speed), _PERCENT) for speed in speeds]

    def __len__(self) -> int:
        return len(self.speeds)

    def crops(
        self,
        cache: VoiceCache,
        rows: np.ndarray,
        which: np.ndarray,
        n_samples: int,
        generator: torch.Generator | None,
        own: slice = slice(None),
    ) -> Tensor:
        """Return float32 [B, n_samples], or less where ``own`` says so.

        Args:
            cache: of the utterances.
            rows: int64 [B], of the cache.
            which: int64 [B], positions among the speeds.
            n_samples: of each crop after the change of speed.
            generator: of where crops begin; None: in the middle.
            own: which of the rows are read and returned; draws are those of all.
        """
        places = np.arange(len(rows))[own]
        wav = torch.zeros(len(places), n_samples)
        for position in np.unique(which):
            read = math.ceil(n_samples * self.speeds[position]) + _SPARE
            alike = np.flatnonzero(which == position)
            starts, mine = cache.starts(rows[alike], read, generator), np.isin(alike, places)
            if mine.any():
                crops = cache.crops(rows[alike[mine]], starts[mine], read).wav
                wav[which[own] == position] = self.apply(crops, int(position))[:, :n_samples]
        return wav

    def apply(self, wav: Tensor, which: int) -> Tensor:
        """Return waveforms [B, T] at the speed of position ``which``, [B, about T / speed]."""
        return self._resample[which](wav)
