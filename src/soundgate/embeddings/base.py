"""The contract every embedder keeps: mono waveforms to vectors of one length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

DIM = 512


class AudioEmbedder(ABC):
    """A frozen embedder: a waveform's vector depends on that waveform alone, to 1e-5, however it is batched.

    A waveform carries no sample rate: the caller brings it to ``sample_rate`` first.

    Args:
        name: the embedder's name in the registry.
        sample_rate: Hz, of every waveform given to ``embed``.

    Attributes:
        dim: length of a vector, the same for every embedder.
    """

    dim = DIM

    def __init__(self, name: str, sample_rate: int) -> None:
        self.name = name
        self.sample_rate = sample_rate

    def embed(self, wavs: Sequence[np.ndarray]) -> np.ndarray:
        """Embed waveforms, all of them as one batch.

        Args:
            wavs: N waveforms, float32 [T], T ≥ 1, full scale [−1, 1] (white noise may go past it); lengths may
                differ.

        Returns:
            float32 [N, 512], finite, also for silence.

        Raises:
            TypeError: a waveform is not float32.
            ValueError: a wrong shape, no samples, a value that is not finite, or a waveform that is too long.
        """
        for position, wav in enumerate(wavs):
            _check(position, wav)
        if not len(wavs):
            return np.zeros((0, self.dim), dtype=np.float32)
        vectors = self._embed(wavs)
        assert vectors.shape == (len(wavs), self.dim) and vectors.dtype == np.float32, vectors
        return vectors

    @abstractmethod
    def card(self) -> dict:
        """Return what the vectors depend on besides the audio: name, model, revision, and sample_rate in Hz."""

    @abstractmethod
    def _embed(self, wavs: Sequence[np.ndarray]) -> np.ndarray:
        """Embed at least one checked waveform."""


def _check(position: int, wav: np.ndarray) -> None:
    if wav.dtype != np.float32:
        raise TypeError(f"wavs[{position}]: expected float32, found {wav.dtype}")
    if wav.ndim != 1 or wav.size == 0:
        raise ValueError(f"wavs[{position}]: expected [T] with T >= 1, found shape {list(wav.shape)}")
    if not np.isfinite(wav).all():
        raise ValueError(f"wavs[{position}]: expected finite values, found {np.sum(~np.isfinite(wav))} others")
