"""Mixing at a signal-to-noise ratio that counts only the frames where the signal is active."""

from __future__ import annotations

import math

import numpy as np

from soundgate.audio.filters import DIGITAL_SILENCE

FRAME_S = 0.020
ACTIVE_RANGE_DB = 40.0


def frame_energies(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the energy of each 20 ms frame, float32 [L], of a signal [T] with T >= 1; the last may be shorter."""
    return np.add.reduceat(np.square(wav), np.arange(0, len(wav), max(1, round(FRAME_S * sample_rate))))


def active_frames(energies: np.ndarray) -> np.ndarray:
    """Return which frames hold an energy within 40 dB of the loudest, bool [L]; none of a signal below -200 dBFS."""
    loudest = energies.max()
    return (energies >= loudest * 10 ** (-ACTIVE_RANGE_DB / 10)) & (loudest > DIGITAL_SILENCE**2)


def mix_at_snr(
    wav: np.ndarray, noise: np.ndarray, snr_db: float, sample_rate: int, valid_samples: int
) -> tuple[np.ndarray, float | None]:
    """Add noise to a whole signal at a signal-to-noise ratio over its active frames.

    Args:
        wav: float32 [T].
        noise: float32 [T], overwritten; its level does not matter.
        snr_db: power of the signal over power of the noise, both in the active frames.
        sample_rate: in Hz.
        valid_samples: where the signal ends and padding begins; active frames lie before it.

    Returns:
        The mixture, float32 [T], and the ratio in dB measured from it (mixture minus signal). A signal or a
        noise without power there is not mixed: the signal itself and None.
    """
    if valid_samples == 0:
        return wav, None
    valid = slice(valid_samples)
    energies = frame_energies(wav[valid], sample_rate)
    active = active_frames(energies)
    signal_energy = float(energies[active].sum(dtype=np.float64))
    noise_energy = float(frame_energies(noise[valid], sample_rate)[active].sum(dtype=np.float64))
    if signal_energy == 0 or noise_energy == 0:
        return wav, None
    noise *= np.float32(math.sqrt(signal_energy / noise_energy) * 10 ** (-snr_db / 20))
    mixture = np.add(wav, noise, out=noise)
    added = frame_energies(mixture[valid] - wav[valid], sample_rate)[active].sum(dtype=np.float64)
    return mixture, 10 * math.log10(signal_energy / added) if added > 0 else None
