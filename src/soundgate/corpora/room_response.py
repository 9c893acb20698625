"""One impulse response: image sources of a shoebox room, then a diffuse tail whose decay is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft

from soundgate.corpora.colouring import Colour, apply_colour, power_response

SAMPLE_RATE = 48_000
BANDS_HZ = (125.0, 250.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 16_000.0)  # pyroomacoustics' at 48 kHz
SPEED_OF_SOUND = 343.0
_LENGTH_IN_DECAYS = 1.1  # the slowest band ends at -66 dB
_FADE_SHARE = 0.5  # of the mixing time, over which the tail replaces the images


@dataclass(frozen=True)
class Room:
    """A shoebox room.

    Args:
        size_m: length, width and height.
        decay_s: reverberation time of each band of ``BANDS_HZ``.
        mixing_s: after the direct sound, where the images have given way to the diffuse tail.
        scatter_m: how far an image may lie off its place on each axis; 0 keeps the room's regular echoes.
        colours: filters of the whole chain, in this order.
    """

    size_m: tuple[float, float, float]
    decay_s: tuple[float, ...]
    mixing_s: float
    scatter_m: float
    colours: tuple[Colour, ...]


def room_response(
    room: Room, source_m: np.ndarray, microphone_m: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Simulate the impulse response between two points of a room.

    Up to the mixing time it consists of pyroomacoustics' image sources; a Gaussian tail follows, whose power in
    each band starts at that of the images' density and falls by 60 dB in ``decay_s``. The walls absorb what
    gives the images the same decay (Eyring), so both parts meet without a step.

    Args:
        room: the room.
        source_m: position, float64 [3].
        microphone_m: position, float64 [3].
        generator: of the tail and the images' scatter.

    Returns:
        float64 [T] at 48 kHz, which starts with the emission, and its reverberation time in seconds: the T30 of
        the decay it was built with, known before any noise is drawn (see `expected_t30`).

    Source: Allen and Berkley 1979 (images); De Sena et al. 2015 (scattered images); Eyring 1930, eq. 20; Kuttruff,
        "Room acoustics", 4.1 (density of images 4 pi c^3 t^2 / V).
    Differs: pyroomacoustics gives the images and their gains only. The bits of its own response depend on the
        number of threads, its zero-phase high-pass sounds before the direct path, and the decay of its
        ray-traced tail can only be estimated. Images arrive at whole samples.
    """
    distance_m = float(np.linalg.norm(source_m - microphone_m))
    direct_s = distance_m / SPEED_OF_SOUND
    time_s = np.arange(round((direct_s + _LENGTH_IN_DECAYS * max(room.decay_s)) * SAMPLE_RATE)) / SAMPLE_RATE
    fade = _fade(time_s, direct_s, room.mixing_s)
    n_fft = scipy.fft.next_fast_len(2 * len(time_s), real=True)
    masks = _band_masks(n_fft)
    images = _image_pulses(room, source_m, microphone_m, direct_s + room.mixing_s, len(time_s), generator)
    padded = np.pad(images * fade, ((0, 0), (0, n_fft - len(time_s))))
    early = _band_signals(padded, masks)[:, : len(time_s)].sum(axis=0)
    tail_gain = np.sqrt(1 - np.square(fade)) * _tail_envelopes(room, time_s)
    tail = (_band_signals(generator.standard_normal(n_fft), masks)[:, : len(time_s)] * tail_gain).sum(axis=0)
    response = np.ones(masks.shape[1])
    for colour in room.colours:
        early, tail = (apply_colour(colour, part, SAMPLE_RATE) for part in (early, tail))
        response *= power_response(colour, scipy.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE), SAMPLE_RATE)
    coupling = (masks * response) @ masks.T / masks.shape[1]
    power = np.square(early) + ((coupling @ tail_gain) * tail_gain).sum(axis=0)
    return early + tail, expected_t30(power, SAMPLE_RATE)


def expected_t30(power: np.ndarray, sample_rate: int) -> float:
    """Return the reverberation time of an expected power, from a line through -5 to -35 dB of its decay.

    Args:
        power: float64 [T], the mean over all draws of the squared response.
        sample_rate: in Hz.

    Returns:
        Seconds until the decay has fallen by 60 dB.

    Source: Schroeder 1965, eq. 5; ISO 3382-1:2009, 5.3.3.
    """
    remaining = np.cumsum(power[::-1])[::-1]
    level_db = 10 * np.log10(remaining[remaining > 0] / remaining[0])
    inside = np.flatnonzero((level_db <= -5) & (level_db >= -35))
    slope = np.polynomial.polynomial.polyfit(inside / sample_rate, level_db[inside], 1)[1]
    return float(-60 / slope)


def wall_absorption(size_m: tuple[float, float, float], decay_s: np.ndarray) -> np.ndarray:
    """Return the energy absorption that gives a room its reverberation times, shape as ``decay_s``.

    Source: Eyring 1930, eq. 20, solved for the absorption.
    """
    length, width, height = size_m
    volume, surface = length * width * height, 2 * (length * width + length * height + width * height)
    return -np.expm1(-24 * math.log(10) * volume / (SPEED_OF_SOUND * surface * np.asarray(decay_s)))


def _fade(time_s: np.ndarray, direct_s: float, mixing_s: float) -> np.ndarray:
    """Return the images' gain: 1, then a quarter of a cosine down to 0 at the mixing time."""
    start = direct_s + (1 - _FADE_SHARE) * mixing_s
    return np.cos(np.pi / 2 * np.clip((time_s - start) / (_FADE_SHARE * mixing_s), 0, 1))


def _image_pulses(
    room: Room,
    source_m: np.ndarray,
    microphone_m: np.ndarray,
    until_s: float,
    samples: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return a pulse for each image and band, float64 [B, T]; complete up to ``until_s``."""
    # Imported here: it takes over a second to load, and a pool from a folder needs none of it.
    import pyroomacoustics

    order = math.ceil(until_s * SPEED_OF_SOUND * math.sqrt(sum(side**-2 for side in room.size_m)))
    absorption = {"coeffs": wall_absorption(room.size_m, room.decay_s).tolist(), "center_freqs": list(BANDS_HZ)}
    material = pyroomacoustics.Material(energy_absorption=absorption)
    shoebox = pyroomacoustics.ShoeBox(list(room.size_m), fs=SAMPLE_RATE, materials=material, max_order=order)
    shoebox.add_source(list(source_m))
    shoebox.add_microphone(list(microphone_m))
    shoebox.image_source_model()
    source = shoebox.sources[0]
    images = source.images.astype(np.float64)
    offsets = generator.uniform(-room.scatter_m, room.scatter_m, images.shape)
    images += np.where(source.orders == 0, 0.0, offsets)
    distance_m = np.linalg.norm(images - microphone_m[:, None], axis=0)
    arrival = np.rint(distance_m / SPEED_OF_SOUND * SAMPLE_RATE).astype(int)
    heard = arrival < samples
    gains = (source.damping / distance_m)[:, heard].astype(np.float64)
    return np.stack([np.bincount(arrival[heard], gain, minlength=samples) for gain in gains])


def _tail_envelopes(room: Room, time_s: np.ndarray) -> np.ndarray:
    """Return the tail's amplitude in each band, float64 [B, T], continuing the images' mean power."""
    density = 4 * math.pi * SPEED_OF_SOUND / math.prod(room.size_m) / SAMPLE_RATE
    return math.sqrt(density) * 10 ** (-3 * time_s / np.asarray(room.decay_s)[:, None])


def _band_masks(n_fft: int) -> np.ndarray:
    """Return gains of octave-wide bands, float64 [B, F], triangular over log frequency, that add up to 1."""
    octave = np.log2(np.maximum(scipy.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE), 1.0))
    return np.stack([np.interp(octave, np.log2(BANDS_HZ), own) for own in np.eye(len(BANDS_HZ))])


def _band_signals(signals: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return what a signal [N], or one for each band [B, N], has in each band, float64 [B, N]."""
    return scipy.fft.irfft(scipy.fft.rfft(signals) * masks, signals.shape[-1])
