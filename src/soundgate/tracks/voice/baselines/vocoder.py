"""WORLD's analysis and synthesis, and recordings of any length in blocks that are cut where it is quiet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyworld

LOWEST_RATE = 16_000
FRAME_PERIOD_S = 0.005
# Of coded envelopes, which are smooth.
N_CODED = 60
# Blocks end at the quietest place of their last part, overlap by a margin that is computed and dropped, and fade.
_BLOCK_S, _LAST_S, _MARGIN_S, _FADE_S, _LEVEL_S = 20.0, 8.0, 0.25, 0.01, 0.02


class Analysis(NamedTuple):
    """What WORLD makes of a recording, one row for each frame of ``FRAME_PERIOD_S``.

    Args:
        f0: float64 [L], Hz, 0 where unvoiced.
        envelope: float64 [L, n_bins], power from 0 Hz to half the rate.
        aperiodicity: float64 [L, n_bins], share of noise in the amplitude, 0 to 1.
    """

    f0: np.ndarray
    envelope: np.ndarray
    aperiodicity: np.ndarray


class Vocoder:
    """Analyses and synthesises.

    Args:
        sample_rate: Hz.
        f0_min_hz: lowest fundamental that is looked for.
        f0_max_hz: highest one.

    Raises:
        ValueError: a rate below 16 kHz, at which D4C reads beyond its spectra.

    Source: Morise, Yokomori and Ozawa 2016, "WORLD: a vocoder-based high-quality speech synthesis system"; Harvest,
        StoneMask, CheapTrick and D4C of pyworld.
    """

    def __init__(self, sample_rate: int, f0_min_hz: float, f0_max_hz: float) -> None:
        if sample_rate < LOWEST_RATE:
            raise ValueError(f"sample_rate: expected {LOWEST_RATE} Hz or more; found {sample_rate}")
        self.sample_rate, self.f0_min_hz, self.f0_max_hz = sample_rate, f0_min_hz, f0_max_hz
        self.n_fft = pyworld.get_cheaptrick_fft_size(sample_rate)
        self.n_bins = self.n_fft // 2 + 1

    def analyse(self, wav: np.ndarray) -> Analysis:
        """Return F0, envelope and aperiodicity of float32 [T], T at least 1."""
        samples = np.ascontiguousarray(wav, np.float64)
        period_ms, rate = 1_000 * FRAME_PERIOD_S, self.sample_rate
        f0, times_s = pyworld.harvest(
            samples, rate, f0_floor=self.f0_min_hz, f0_ceil=self.f0_max_hz, frame_period=period_ms
        )
        f0 = pyworld.stonemask(samples, f0, times_s, rate)
        envelope = pyworld.cheaptrick(samples, f0, times_s, rate, fft_size=self.n_fft)
        # Harvest decides what is voiced, not D4C.
        aperiodicity = pyworld.d4c(samples, f0, times_s, rate, threshold=0.0, fft_size=self.n_fft)
        return Analysis(f0, envelope, aperiodicity)

    def synthesise(self, analysis: Analysis, n_samples: int) -> np.ndarray:
        """Return float32 [n_samples]; the same for the same frames."""
        parts = (np.ascontiguousarray(part, np.float64) for part in analysis)
        made = pyworld.synthesize(*parts, self.sample_rate, 1_000 * FRAME_PERIOD_S)[:n_samples]
        return np.pad(made, (0, n_samples - len(made))).astype(np.float32)

    def code(self, envelope: np.ndarray) -> np.ndarray:
        """Return envelopes [L, n_bins] as cosine transforms along mels, float32 [L, N_CODED]."""
        rows = np.ascontiguousarray(envelope)
        return pyworld.code_spectral_envelope(rows, self.sample_rate, N_CODED).astype(np.float32)

    def decode(self, coded: np.ndarray) -> np.ndarray:
        """Return envelopes, float64 [L, n_bins], of what `code` returned."""
        rows = np.ascontiguousarray(coded, np.float64)
        return pyworld.decode_spectral_envelope(rows, self.sample_rate, self.n_fft)


class Block(NamedTuple):
    """A part of a recording.

    Args:
        read: samples that are analysed.
        kept: samples of the recording that the block has a share in, fades included.
    """

    read: slice
    kept: slice


def blocks(wav: np.ndarray, sample_rate: int) -> list[Block]:
    """Return the parts of a recording that are worked on one by one; one where it is short, none where it is empty."""
    block, margin, fade = (round(value * sample_rate) for value in (_BLOCK_S, _MARGIN_S, _FADE_S))
    cuts = [0] if len(wav) else []
    while cuts and len(wav) - cuts[-1] > 1.5 * block:
        cuts.append(_quietest(wav, cuts[-1] + block, sample_rate))
    edges = zip(cuts, [*cuts[1:], len(wav)][: len(cuts)], strict=True)
    return [
        Block(
            slice(max(0, start - margin), min(len(wav), end + margin)),
            slice(start, min(len(wav), end + fade)),
        )
        for start, end in edges
    ]  # fmt: skip


def joined(parts: Iterator[tuple[Block, np.ndarray]], n_samples: int, sample_rate: int) -> np.ndarray:
    """Return blocks' samples one after another, float32 [n_samples], faded where they overlap.

    Args:
        parts: in order, each block with its samples [read].
        n_samples: of the recording.
        sample_rate: Hz.
    """
    made = np.zeros(n_samples, np.float32)
    rise = np.linspace(0, 1, round(_FADE_S * sample_rate), endpoint=False, dtype=np.float32)
    for block, samples in parts:
        own = samples[block.kept.start - block.read.start : block.kept.stop - block.read.start].copy()
        if block.kept.start > 0:
            own[: len(rise)] *= rise[: len(own)]
        if block.kept.stop < n_samples:
            own[-len(rise) :] *= 1 - rise
        made[block.kept] += own
    return made


def _quietest(wav: np.ndarray, end: int, sample_rate: int) -> int:
    """Return the middle of the quietest 20 ms of the seconds before ``end``."""
    step = round(_LEVEL_S * sample_rate)
    n_steps = round(_LAST_S * sample_rate) // step
    start = end - n_steps * step
    powers = np.square(wav[start:end].reshape(n_steps, step), dtype=np.float64).mean(axis=1)
    return start + int(powers.argmin()) * step + step // 2
