"""Noise as rooms and circuits add it: coloured noise and mains hum, each by one inverse FFT."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft

BROADBAND_COLOURS = ("white", "pink", "brown", "hvac")
LOWEST_HZ = 20.0  # Below hearing: brown noise would otherwise spend nearly all of its power there.
HVAC_BAND_HZ = (45.0, 710.0)  # the octave bands of 63 to 500 Hz, where fans and ducts are heard
HUM_HARMONICS = 12
WIND_CORNER_HZ, GUST_HZ = 100.0, 1.0
_HUM_SPREAD_DB = 6.0
_SLOPES = {"white": 0.0, "pink": -0.5, "brown": -1.0}


def coloured_noise(colour: str, samples: int, sample_rate: int, seed: int) -> np.ndarray:
    """Return Gaussian noise with a given spectrum, drawn in the frequency domain.

    Args:
        colour: ``"white"``, ``"pink"`` (-3 dB an octave), ``"brown"`` (-6 dB an octave), or ``"hvac"``
            (ventilation: the octave bands of 63 to 500 Hz, falling by 12 dB an octave on both sides).
        samples: length, at least 1.
        sample_rate: in Hz.
        seed: at least 0; equal arguments give equal bytes.

    Returns:
        float32 [samples], expected power 1.

    Raises:
        ValueError: an unknown colour or no samples.

    Source: Timmer and König 1995, "On generating power law noise", section 3.
    Differs: nothing below 20 Hz; the spectrum is white noise's own, shaped, with no scaling by its length.
    """
    if colour not in BROADBAND_COLOURS:
        raise ValueError(f"colour: expected one of {', '.join(BROADBAND_COLOURS)}, found {colour!r}")
    _check_samples(samples)
    # A tenth of a second at least, so that even a very short cut has bins inside every band.
    n_fft = scipy.fft.next_fast_len(max(samples, sample_rate // 10), real=True)
    magnitude = _magnitude(colour, n_fft, sample_rate)
    spectrum = _generator(seed).standard_normal(2 * len(magnitude), dtype=np.float32).view(np.complex64)
    spectrum *= magnitude
    return scipy.fft.irfft(spectrum, n_fft, norm="ortho", overwrite_x=True)[:samples]


def mains_hum(mains_hz: int, samples: int, sample_rate: int, seed: int) -> np.ndarray:
    """Return hum: the mains frequency and its harmonics at amplitudes 1/k, each varied by up to 6 dB, in random phase.

    Args:
        mains_hz: the fundamental, 50 or 60 in practice.
        samples: length, at least 1.
        sample_rate: in Hz; only harmonics below half of it are there.
        seed: at least 0; it decides levels and phases.

    Returns:
        float32 [samples], power 1 over whole periods.

    Raises:
        ValueError: a fundamental not below half the sample rate, or no samples.
    """
    _check_samples(samples)
    if not 0 < 2 * mains_hz < sample_rate:
        raise ValueError(f"mains_hz: expected above 0 and below {sample_rate / 2:g} Hz, found {mains_hz}")
    order = np.arange(1, HUM_HARMONICS + 1)
    order = order[2 * mains_hz * order < sample_rate]
    generator = _generator(seed)
    level = 10 ** (generator.uniform(-_HUM_SPREAD_DB, _HUM_SPREAD_DB, len(order)) / 20) / order
    phase = generator.uniform(0, 2 * np.pi, len(order))
    # In one second every whole frequency has whole periods, so that it repeats without a seam.
    spectrum = np.zeros(sample_rate // 2 + 1, dtype=np.complex64)
    spectrum[mains_hz * order] = level * np.exp(1j * phase) / np.sqrt(2 * np.sum(level**2))
    return np.resize(scipy.fft.irfft(spectrum, sample_rate, norm="forward", overwrite_x=True), samples)


def wind_noise(samples: int, sample_rate: int, seed: int) -> np.ndarray:
    """Return wind at a microphone: a rumble that falls steeply above 100 Hz, in gusts of about a second.

    Args:
        samples: length, at least 1.
        sample_rate: in Hz.
        seed: at least 0; equal arguments give equal bytes.

    Returns:
        float32 [samples]; its level does not matter.

    Source: Nelke and Vary 2014, "Measurement, analysis and simulation of wind noise signals" (spectrum, gusts).
    Differs: the gusts are the square of smooth noise, where theirs are a Markov chain.
    """
    _check_samples(samples)
    n_fft = scipy.fft.next_fast_len(max(samples, sample_rate // 10), real=True)
    frequency = scipy.fft.rfftfreq(n_fft, 1 / sample_rate)
    rumble, gusts = _generator(seed).standard_normal((2, 2 * len(frequency)), dtype=np.float32).view(np.complex64)
    rumble *= (frequency >= LOWEST_HZ) / (1 + (frequency / WIND_CORNER_HZ) ** 2)
    gusts *= frequency <= GUST_HZ
    rumble, gusts = (scipy.fft.irfft(spectrum, n_fft)[:samples] for spectrum in (rumble, gusts))
    envelope = np.square(gusts / np.sqrt(np.mean(np.square(gusts))))
    return (rumble * envelope).astype(np.float32)


def _check_samples(samples: int) -> None:
    if samples < 1:
        raise ValueError(f"samples: expected at least 1, found {samples}")


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


@lru_cache(maxsize=16)
def _magnitude(colour: str, n_fft: int, sample_rate: int) -> np.ndarray:
    """Return the magnitude of each bin, float32, that brings a complex standard normal draw to power 1."""
    frequency = scipy.fft.rfftfreq(n_fft, 1 / sample_rate)
    magnitude = np.zeros_like(frequency)
    heard = frequency >= LOWEST_HZ
    if colour == "hvac":
        low, high = HVAC_BAND_HZ
        rise, fall = (low / frequency[heard]) ** 4, (frequency[heard] / high) ** 4
        magnitude[heard] = 1 / np.sqrt((1 + rise) * (1 + fall))
    else:
        magnitude[heard] = frequency[heard] ** _SLOPES[colour]
    magnitude /= np.sqrt(2 * np.mean(magnitude**2))
    magnitude = magnitude.astype(np.float32)
    magnitude.flags.writeable = False
    return magnitude
