"""The ``acoustic`` embedder: standardised descriptors, spread over 512 dimensions by a fixed orthonormal map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import fft

from soundgate.embeddings.acoustic.decay import decays
from soundgate.embeddings.acoustic.onset import onset_levels_db
from soundgate.embeddings.acoustic.settings import Settings
from soundgate.embeddings.acoustic.spectrum import Spectrum, band_levels_db
from soundgate.embeddings.base import DIM, AudioEmbedder
from soundgate.runtime.randomness import keyed_generator

SAMPLE_RATE = 48_000
REVISION = "1"
# Centre and spread over rooms of 0.15 to 2 s, for a probe of RMS 0.1 and impulse responses of peak 1.
STANDARD = {
    "level_db": (-18.0, 3.0),
    "bands_db": (0.0, 3.0),
    "onset_db": (-1.0, 1.5),
    "log2_rt60": (-1.0, 1.0),
    "echo_level_db": (-20.0, 12.0),
}
LIMIT = 8.0


class AcousticEmbedder(AudioEmbedder):
    """71 descriptors of a room's answer to white noise; no training, no weights.

    Distances are those of the standardised descriptors divided by √71, so rooms lie about 1 to 2 from the origin;
    vectors are not scaled to unit length. Waveforms under 3 s are padded with zeros, of longer ones all is used.
    """

    def __init__(self) -> None:
        super().__init__("acoustic", SAMPLE_RATE)

    def card(self) -> dict:
        """Return name, model, revision and sample rate."""
        return {"name": self.name, "model": self.name, "revision": REVISION, "sample_rate": self.sample_rate}

    def _embed(self, wavs: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([orthonormal_map(describe(wav)).astype(np.float32) for wav in wavs])


def describe(wav: np.ndarray) -> np.ndarray:
    """Return the standardised descriptors of float32 [T] at 48 kHz, float64 [71] in [−8, 8]."""
    spectrum = Spectrum.of(wav, SAMPLE_RATE)
    level_db, *bands_db = band_levels_db(spectrum)
    decay = decays(spectrum)
    groups = {
        "level_db": level_db,
        "bands_db": bands_db,
        "onset_db": onset_levels_db(spectrum).ravel(),
        "log2_rt60": decay.log2_rt60,
        "echo_level_db": decay.level_db,
    }
    standardised = [(np.atleast_1d(groups[name]) - centre) / spread for name, (centre, spread) in STANDARD.items()]
    return np.clip(np.concatenate(standardised), -LIMIT, LIMIT)


def orthonormal_map(descriptors: np.ndarray) -> np.ndarray:
    """Map D ≤ 512 descriptors to 512 dimensions; lengths and angles stay, but for the factor 1/√D.

    Keyed places, keyed signs, then an orthonormal cosine transform: every descriptor reaches every dimension,
    and no digit depends on a linear-algebra library.

    Source: Ailon and Chazelle 2006, "Approximate nearest neighbors and the fast Johnson–Lindenstrauss
        transform".
    Differs: nothing is left out, so the map is exactly orthonormal.
    """
    generator = keyed_generator(0, "embedder-acoustic", "map")
    places = generator.permutation(DIM)[: len(descriptors)]
    spread = np.zeros(DIM)
    spread[places] = generator.choice([-1.0, 1.0], len(descriptors)) * descriptors
    return fft.dct(spread, norm="ortho") / np.sqrt(len(descriptors))


def load(settings: Settings) -> AcousticEmbedder:
    """Return the embedder."""
    return AcousticEmbedder()
