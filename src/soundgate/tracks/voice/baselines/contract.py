"""What a conversion method without training takes and gives: a voice is known from recordings, speech is said in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class UnknownVoiceError(ValueError):
    """Recordings that tell too little of a voice: silence, nothing voiced, or too few seconds of it."""


@dataclass(frozen=True)
class Frames:
    """Frames of a speaker that others' are matched with, in one order throughout.

    Args:
        features: float32 [N, D], what is compared, less ``mean`` and over ``deviation``.
        mean: float32 [D].
        deviation: float32 [D].
        envelopes: float32 [N, n_coded], coded spectral envelopes.
    """

    features: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    envelopes: np.ndarray


@dataclass(frozen=True)
class Moments:
    """How the coded envelopes of a speaker's audible frames are distributed.

    Args:
        mean: float64 [n_coded].
        covariance: float64 [n_coded, n_coded], positive definite.
    """

    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Voice:
    """What is known of a speaker, as source and as target alike; a method takes the voices that it enrolled itself.

    Args:
        log_f0_mean: of the natural logarithm of F0 in Hz over voiced frames.
        log_f0_std: its deviation.
        log_envelope: float64 [n_bins], mean natural logarithm of the power envelope over voiced frames, less a constant
            that makes the sum of its powers 1; bins from 0 Hz to half the rate.
        voiced_s: seconds of voiced frames.
        moments: see `Moments`.
        frames: see `Frames`; None where the method matches none.
    """

    log_f0_mean: float
    log_f0_std: float
    log_envelope: np.ndarray
    voiced_s: float
    moments: Moments
    frames: Frames | None = None


class Method(Protocol):
    """A way to say speech in another voice.

    Args:
        name: of the method.
        sample_rate: Hz, of everything that goes in and comes out.
    """

    name: str
    sample_rate: int

    def enrol(self, recordings: Sequence[np.ndarray]) -> Voice:
        """Return what is known of a speaker.

        Args:
            recordings: of this speaker alone, float32 [T] each.

        Raises:
            UnknownVoiceError: nothing is voiced, or too little.
            ValueError: samples that are not finite.
        """

    def convert(
        self, wav: np.ndarray, own: Voice, voice: Voice, *, semitones: float = 0.0, formant: float = 1.0
    ) -> np.ndarray:
        """Return the same words in another voice, float32 [T]; equal arguments give equal samples.

        Args:
            wav: float32 [T]; what is not voiced, silence too, stays so.
            own: the voice of the speaker of ``wav``.
            voice: the voice wished for.
            semitones: that the pitch is moved by beyond the target's.
            formant: factor of the frequencies of the spectral envelope beyond the target's; above 1 they rise.

        Raises:
            ValueError: samples that are not finite, or a ``formant`` that is not above 0.
        """
