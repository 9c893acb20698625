"""What a room, a desk and a medium do to a mix: equaliser, band limits, reverberation, compression, noise."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
from pydantic import Field, model_validator

from soundgate.audio.filters import equaliser_sections, pass_sections, run_sections
from soundgate.corpora.synthesiser import SAMPLE_RATE
from soundgate.runtime.config import Section
from soundgate.runtime.randomness import keyed_generator

RMS_DBFS = -20.0
MAX_PEAK = 0.95
_BLOCK = 64  # samples between two points of the compressor's envelope


class Reverberation(Section):
    """An exponentially decaying diffuse tail; the direct sound comes first.

    Args:
        rt60_s: reverberation time.
        wet_db: energy of the tail relative to the direct sound.
        high_hz: the tail has 3 dB less there.
    """

    rt60_s: float = Field(gt=0, le=4)
    wet_db: float = Field(le=6)
    high_hz: float = Field(default=6_000.0, gt=0, lt=SAMPLE_RATE / 2)


class Compressor(Section):
    """Gain by level, alike for rising and falling levels.

    Args:
        threshold_db: above it, relative to the mix's RMS, the level rises `ratio` times more slowly.
        ratio: of the compressor.
        time_s: time constant of the level.
    """

    threshold_db: float
    ratio: float = Field(ge=1)
    time_s: float = Field(default=0.03, gt=0, le=0.2)


class RecordingChain(Section):
    """The way from a mix to a file, in the order of the arguments.

    Args:
        reverberation: of the room; None for none.
        low_db: equaliser, below 250 Hz.
        mid_db: around 1.5 kHz.
        high_db: above 5 kHz.
        low_hz: nothing is recorded below.
        high_hz: nothing is recorded above.
        compressor: None for none.
        noise_db: level of noise relative to the mix's RMS.
        noise_high_hz: the noise lies below.
    """

    reverberation: Reverberation | None = None
    low_db: float = Field(default=0.0, ge=-24, le=24)
    mid_db: float = Field(default=0.0, ge=-24, le=24)
    high_db: float = Field(default=0.0, ge=-24, le=24)
    low_hz: float = Field(default=25.0, gt=0)
    high_hz: float = Field(default=10_000.0, gt=0, lt=SAMPLE_RATE / 2)
    compressor: Compressor | None = None
    noise_db: float = Field(default=-65.0, le=0)
    noise_high_hz: float = Field(default=10_000.0, gt=0, lt=SAMPLE_RATE / 2)

    @model_validator(mode="after")
    def _ordered(self) -> RecordingChain:
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz: {self.low_hz:g} is not below high_hz, {self.high_hz:g}")
        return self


def record(mix: np.ndarray, chain: RecordingChain, generator: np.random.Generator) -> np.ndarray:
    """Send a mix through a chain and bring it to about -20 dBFS RMS.

    Args:
        mix: float32 [T], not all zero.
        chain: see `RecordingChain`.
        generator: of the noise.

    Returns:
        float32 [T] with a peak of at most 0.95; a mix whose peak would lie higher is left that much quieter.
    """
    wav = mix if chain.reverberation is None else reverberate(mix, chain.reverberation)
    sections = [
        equaliser_sections(chain.low_db, chain.mid_db, chain.high_db, SAMPLE_RATE),
        pass_sections("high", chain.low_hz, SAMPLE_RATE),
        pass_sections("low", chain.high_hz, SAMPLE_RATE),
    ]
    wav = run_sections(np.concatenate(sections), wav)
    if chain.compressor is not None:
        wav = compress(wav, chain.compressor)
    noise = generator.standard_normal(len(wav), np.float32)
    noise = run_sections(pass_sections("low", chain.noise_high_hz, SAMPLE_RATE), noise)
    return normalised(wav + noise * np.float32(rms(wav) / rms(noise) * 10 ** (chain.noise_db / 20)))


def normalised(wav: np.ndarray) -> np.ndarray:
    """Return a signal at -20 dBFS RMS, or with a peak of 0.95 if that is quieter."""
    return wav * np.float32(min(10 ** (RMS_DBFS / 20) / rms(wav), MAX_PEAK / float(np.abs(wav).max())))


def rms(wav: np.ndarray) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(wav), dtype=np.float64)))


def reverberate(wav: np.ndarray, reverberation: Reverberation) -> np.ndarray:
    """Add the tail to a signal float32 [T]; the tail beyond its end is cut off."""
    n_fft = scipy.fft.next_fast_len(len(wav) + round(reverberation.rt60_s * SAMPLE_RATE), real=True)
    spectrum = scipy.fft.rfft(wav, n_fft) * _response(reverberation, n_fft)
    return scipy.fft.irfft(spectrum, n_fft)[: len(wav)].astype(np.float32)


@lru_cache(maxsize=64)
def _response(reverberation: Reverberation, n_fft: int) -> np.ndarray:
    samples = round(reverberation.rt60_s * SAMPLE_RATE)
    tail = keyed_generator(0, "corpus-music", "reverberation").standard_normal(samples)
    tail *= 10 ** (-3 * np.arange(samples) / samples)
    tail = run_sections(pass_sections("low", reverberation.high_hz, SAMPLE_RATE), tail.astype(np.float32))
    tail *= np.float32(10 ** (reverberation.wet_db / 20) / np.sqrt(np.sum(np.square(tail))))
    tail[0] += 1
    return scipy.fft.rfft(tail, n_fft)


def compress(wav: np.ndarray, compressor: Compressor) -> np.ndarray:
    """Return a signal float32 [T] with its loud parts turned down.

    The level is the mean square over a Hann window of four time constants, so the gain neither lags nor leads.
    """
    blocks = -(-len(wav) // _BLOCK)
    power = np.square(np.pad(wav, (0, blocks * _BLOCK - len(wav)))).reshape(blocks, _BLOCK).mean(axis=1)
    window = np.hanning(max(round(4 * compressor.time_s * SAMPLE_RATE / _BLOCK), 1) + 2)[1:-1]
    level = np.convolve(power, window / window.sum(), mode="same")
    over_db = 10 * np.log10(np.maximum(level, 1e-20) / max(rms(wav) ** 2, 1e-20)) - compressor.threshold_db
    gain_db = -np.maximum(over_db, 0) * (1 - 1 / compressor.ratio)
    points = (np.arange(blocks) + 0.5) * _BLOCK
    return wav * np.interp(np.arange(len(wav)), points, 10 ** (gain_db / 20)).astype(np.float32)
