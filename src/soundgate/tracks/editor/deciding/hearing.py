"""What the rules hear of a recording: levels, bands and pitch classes of short frames, whatever the gain."""

from __future__ import annotations

from dataclasses import dataclass

import librosa
import numpy as np

HOP_S = 512 / 22_050
_HOP, _N_FFT, _BLOCK_FRAMES = 512, 2048, 4_096
_N_BANDS = 48
# Below it lie rumble and offsets, which nobody hears as the music's level.
_LOWEST_HZ = 50.0
# Relative to the active level, dB; digital silence lies there.
QUIETEST_DB = -80.0
_GATE_DB = 10.0


@dataclass(frozen=True)
class Heard:
    """A recording in frames of ``HOP_S``.

    Args:
        level_db: float32 [F], level above 50 Hz, relative to the active level, at least ``QUIETEST_DB``.
        bands_db: float32 [F, 48], mel bands, likewise relative.
        pitches: float32 [F, 12], energies of the pitch classes, the largest of a frame 1.
        tops: int16 [F], the strongest bin of 60 to 4,000 Hz.
    """

    level_db: np.ndarray
    bands_db: np.ndarray
    pitches: np.ndarray
    tops: np.ndarray

    @property
    def n_frames(self) -> int:
        """Frames of the recording."""
        return len(self.level_db)


def hear(mono: np.ndarray, sample_rate: int) -> Heard:
    """Return what the rules hear.

    Args:
        mono: float32 [T], of any length and gain.
        sample_rate: of it, 22,050 Hz.
    """
    mel = librosa.filters.mel(sr=sample_rate, n_fft=_N_FFT, n_mels=_N_BANDS, fmin=_LOWEST_HZ)
    chroma = librosa.filters.chroma(sr=sample_rate, n_fft=_N_FFT)
    bin_hz = sample_rate / _N_FFT
    audible, first, last = round(_LOWEST_HZ / bin_hz), round(60 / bin_hz), round(4_000 / bin_hz)
    n_frames = 1 + len(mono) // _HOP
    padded = np.pad(mono, _N_FFT // 2)
    parts: list[list[np.ndarray]] = [[], [], [], []]
    for start in range(0, n_frames, _BLOCK_FRAMES):
        stop = min(start + _BLOCK_FRAMES, n_frames)
        block = padded[start * _HOP : (stop - 1) * _HOP + _N_FFT]
        power = np.square(np.abs(librosa.stft(block, n_fft=_N_FFT, hop_length=_HOP, center=False)))
        made = power[audible:].sum(axis=0), (mel @ power).T, (chroma @ power).T, power[first:last].argmax(axis=0)
        for part, own in zip(parts, made, strict=True):
            part.append(own)
    level, bands, pitches, tops = (np.concatenate(part) for part in parts)
    reference = active_power(level)
    pitches = pitches / np.maximum(pitches.max(axis=1, keepdims=True), 1e-30)
    # A band holds about a hundredth of a frame's power: the scale of both differs by a constant only.
    return Heard(_relative_db(level, reference), _relative_db(bands, reference), pitches, tops.astype(np.int16))


def active_power(power: np.ndarray) -> float:
    """Return the mean power of the frames that are less than 10 dB below the mean: how loud it is while it sounds.

    Source: ITU-R BS.1770-5, its relative gate.
    """
    mean = float(power.mean(dtype=np.float64))
    loud = power[power >= mean * 10 ** (-_GATE_DB / 10)]
    return float(loud.mean(dtype=np.float64)) if mean > 0 else 1.0


def _relative_db(power: np.ndarray, reference: float) -> np.ndarray:
    ratio = np.maximum(power / reference, 10 ** (QUIETEST_DB / 10))
    return (10 * np.log10(ratio)).astype(np.float32)
