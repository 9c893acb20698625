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


def scale_at_snr(
    wav: np.ndarray, noise: np.ndarray, snr_db: float, sample_rate: int, valid_samples: int
) -> float | None:
    """Return the factor that brings noise to a ratio; None where signal or noise have no power in active frames.

    Args:
        wav: float32 [T].
        noise: float32 [T], of any level.
        snr_db: power of the signal over power of the noise, both in the active frames of the signal.
        sample_rate: in Hz.
        valid_samples: where the signal ends and padding begins; active frames lie before it.
    """
    signal_energy, noise_energy = _active_energies(wav, noise, sample_rate, valid_samples)
    if signal_energy == 0 or noise_energy == 0:
        return None
    return math.sqrt(signal_energy / noise_energy) * 10 ** (-snr_db / 20)


def snr_between(mixture: np.ndarray, wav: np.ndarray, sample_rate: int, valid_samples: int) -> float | None:
    """Return the ratio of a signal [T] to what a mixture [T] has beside it, in dB over the signal's active frames.

    None where one of them has no power there.
    """
    signal_energy, noise_energy = _active_energies(wav, mixture - wav, sample_rate, valid_samples)
    return 10 * math.log10(signal_energy / noise_energy) if signal_energy > 0 and noise_energy > 0 else None


def _active_energies(wav: np.ndarray, noise: np.ndarray, sample_rate: int, valid_samples: int) -> tuple[float, float]:
    """Return the energies of signal and noise over the signal's active frames before ``valid_samples``."""
    if valid_samples == 0:
        return 0.0, 0.0
    energies = frame_energies(wav[:valid_samples], sample_rate)
    active = active_frames(energies)
    noise_energies = frame_energies(noise[:valid_samples], sample_rate)
    return tuple(float(part[active].sum(dtype=np.float64)) for part in (energies, noise_energies))


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
    scale = scale_at_snr(wav, noise, snr_db, sample_rate, valid_samples)
    if scale is None:
        return wav, None
    noise *= np.float32(scale)
    mixture = np.add(wav, noise, out=noise)
    return mixture, snr_between(mixture, wav, sample_rate, valid_samples)
