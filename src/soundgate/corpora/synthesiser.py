"""Instruments: tones read from band-limited wave tables, and drums made of sines and noise."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
from pydantic import Field

from soundgate.audio.filters import pass_sections, run_sections
from soundgate.corpora.scores import CLOSED_HAT, KICK, OPEN_HAT, SNARE
from soundgate.runtime.config import Section
from soundgate.runtime.randomness import keyed_generator

SAMPLE_RATE = 22_050
_TABLE_BITS = 14
_MAX_HARMONICS = 64
_HIGHEST_HZ = 0.45 * SAMPLE_RATE
_RELEASES = 4.0  # time constants after which a released tone has ended


class Timbre(Section):
    """How an instrument sounds.

    Args:
        tilt_db: level of the harmonics, dB an octave.
        even_db: level of the even harmonics relative to that; above 0 they are an octave doubling.
        bright_hz: a low-pass of 12 dB an octave over the harmonics at the onset.
        dark_hz: the same at the end; the tone moves from one to the other.
        darkening_s: time constant of that.
        attack_s: of the onset, a straight line.
        decay_s: time constant of the tone while held; None for one that stays.
        release_s: time constant after the note's end.
        vibrato_cents: depth; it sets in 0.15 s after the onset.
        vibrato_hz: rate.
        voices_cents: one voice at each of these detunings.
        breath_db: level of noise relative to the tone; None for none.
    """

    tilt_db: float = Field(default=-6.0, le=0)
    even_db: float = Field(default=0.0, le=6)
    bright_hz: float = Field(default=6_000.0, gt=0)
    dark_hz: float = Field(default=2_000.0, gt=0)
    darkening_s: float = Field(default=0.3, gt=0)
    attack_s: float = Field(default=0.005, gt=0, le=0.1)
    decay_s: float | None = Field(default=None, gt=0)
    release_s: float = Field(default=0.05, gt=0)
    vibrato_cents: float = Field(default=0.0, ge=0, le=50)
    vibrato_hz: float = Field(default=5.0, gt=0)
    voices_cents: tuple[float, ...] = Field(default=(0.0,), min_length=1)
    breath_db: float | None = Field(default=None, le=0)


class DrumKit(Section):
    """How the drums sound.

    Args:
        kick_hz: the pitch a kick falls to.
        kick_s: time constant of its decay.
        click: how many times higher the kick begins.
        snare_hz: of the snare's skin.
        snare_s: time constant of its noise.
        hat_hz: the hats' noise lies above.
        hat_s: time constant of a closed hat; an open one lasts five times as long.
        hat_db: level of the hats.
        snare_db: level of the snare.
    """

    kick_hz: float = Field(default=48.0, gt=0)
    kick_s: float = Field(default=0.12, gt=0)
    click: float = Field(default=4.0, ge=1)
    snare_hz: float = Field(default=190.0, gt=0)
    snare_s: float = Field(default=0.08, gt=0)
    hat_hz: float = Field(default=6_500.0, gt=0, lt=SAMPLE_RATE / 2)
    hat_s: float = Field(default=0.03, gt=0)
    hat_db: float = -12.0
    snare_db: float = -3.0


def play_notes(notes: pd.DataFrame, timbre: Timbre, samples: int, generator: np.random.Generator) -> np.ndarray:
    """Play the notes of one pitched part.

    Args:
        notes: the part's rows of a score's notes.
        timbre: of the instrument.
        samples: length of the result; tones are cut off there.
        generator: of breath noise.

    Returns:
        float32 [samples]; one tone at full velocity has about unit RMS at its onset.
    """
    out = np.zeros(samples, np.float32)
    breath = None
    if timbre.breath_db is not None:
        breath = _noise_at(generator.standard_normal(samples, np.float32), 1_500.0) * 10 ** (timbre.breath_db / 20)
    for onset_s, offset_s, midi, velocity in zip(
        notes["onset_s"], notes["offset_s"], notes["midi"], notes["velocity"], strict=True
    ):
        start = round(onset_s * SAMPLE_RATE)
        envelope = _envelope(timbre, max(offset_s - onset_s, 0.02), samples - start)
        tone = _tone(timbre, midi, len(envelope))
        if breath is not None:
            tone += breath[start : start + len(tone)]
        envelope *= np.float32((velocity / 127) ** 1.5)
        out[start : start + len(tone)] += tone * envelope
    return out


def play_drums(hits: pd.DataFrame, kit: DrumKit, samples: int) -> np.ndarray:
    """Strike the drums.

    Args:
        hits: the rows of a score's drums.
        kit: the drums.
        samples: length of the result.

    Returns:
        float32 [samples]; a kick at full velocity has a peak of about 1.
    """
    out = np.zeros(samples, np.float32)
    for onset_s, midi, velocity in zip(hits["onset_s"], hits["midi"], hits["velocity"], strict=True):
        start = round(onset_s * SAMPLE_RATE)
        sound = drum(kit, midi)[: samples - start]
        out[start : start + len(sound)] += np.float32(velocity / 127) * sound
    return out


def _tone(timbre: Timbre, midi: int, samples: int) -> np.ndarray:
    bright, dark = wave_tables(timbre, midi)
    steps, vibrato = np.arange(samples, dtype=np.uint32), _vibrato(timbre, midi, samples)
    fading = np.exp(np.arange(samples, dtype=np.float32) * np.float32(-1 / (timbre.darkening_s * SAMPLE_RATE)))
    out = np.zeros(samples, np.float32)
    difference = bright - dark
    for voice, cents in enumerate(timbre.voices_cents):
        frequency_hz = 440 * 2 ** ((midi - 69 + cents / 100) / 12)
        phase = steps * np.uint32(round(frequency_hz / SAMPLE_RATE * 2**32))
        phase += np.uint32(voice * 0x9E3779B1 & 0xFFFFFFFF)  # golden ratio: voices start out of phase
        if vibrato is not None:
            phase += vibrato
        phase >>= np.uint32(32 - _TABLE_BITS)
        place = phase.astype(np.intp)
        # Every place is inside the table; "wrap" only spares the check.
        out += dark.take(place, mode="wrap") + difference.take(place, mode="wrap") * fading
    return out / np.float32(len(timbre.voices_cents) ** 0.5)


def _vibrato(timbre: Timbre, midi: int, samples: int) -> np.ndarray | None:
    """Return what vibrato adds to the phase, uint32 [samples] in 2^-32 cycles."""
    if timbre.vibrato_cents == 0:
        return None
    time_s = np.arange(samples, dtype=np.float32) / np.float32(SAMPLE_RATE)
    deviation = 440 * 2 ** ((midi - 69) / 12) * (2 ** (timbre.vibrato_cents / 1200) - 1)
    depth = deviation / (2 * np.pi * timbre.vibrato_hz) * np.clip((time_s - 0.15) / 0.2, 0, 1)
    cycles = depth * np.sin(np.float32(2 * np.pi * timbre.vibrato_hz) * time_s)
    return (cycles * 2**32).astype(np.int64).astype(np.uint32)


@lru_cache(maxsize=2_048)
def wave_tables(timbre: Timbre, midi: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one period at the onset and one when darkened, float32 [2^14] each.

    The first has unit RMS; both hold only harmonics below 0.45 of the sample rate.
    """
    frequency_hz = 440 * 2 ** ((midi - 69) / 12)
    count = max(min(int(_HIGHEST_HZ / frequency_hz), _MAX_HARMONICS), 1)
    number = np.arange(1, count + 1)
    level = 10 ** ((timbre.tilt_db * np.log2(number) + timbre.even_db * (number % 2 == 0)) / 20)
    tables = []
    for cutoff_hz in (timbre.bright_hz, timbre.dark_hz):
        spectrum = np.zeros(2 ** (_TABLE_BITS - 1) + 1, np.complex128)
        # Phases of Schroeder 1970 keep the crest factor low.
        phases = np.pi * number * number / count
        spectrum[1 : count + 1] = level / np.sqrt(1 + (number * frequency_hz / cutoff_hz) ** 4) * np.exp(1j * phases)
        tables.append(np.fft.irfft(spectrum, 2**_TABLE_BITS))
    scale = 1 / np.sqrt(np.mean(np.square(tables[0])))
    return (scale * tables[0]).astype(np.float32), (scale * tables[1]).astype(np.float32)


def _envelope(timbre: Timbre, held_s: float, limit: int) -> np.ndarray:
    samples = min(round((held_s + _RELEASES * timbre.release_s) * SAMPLE_RATE), limit)
    time_s = np.arange(samples, dtype=np.float32) / np.float32(SAMPLE_RATE)
    exponent = np.minimum(np.float32(held_s) - time_s, 0) * np.float32(1 / timbre.release_s)
    if timbre.decay_s is not None:
        exponent -= time_s * np.float32(1 / timbre.decay_s)
    envelope = np.exp(exponent)
    rise = round(timbre.attack_s * SAMPLE_RATE)
    envelope[:rise] *= (np.arange(min(rise, samples), dtype=np.float32) + 1) / np.float32(rise + 1)
    return envelope


@lru_cache(maxsize=256)
def drum(kit: DrumKit, midi: int) -> np.ndarray:
    """Return one hit at full velocity, float32 [T]; its noise is keyed by the drum alone."""
    noise = keyed_generator(0, "corpus-music", f"drum {midi}").standard_normal(SAMPLE_RATE).astype(np.float32)
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    if midi == KICK:
        glide_s = 0.02
        cycles = kit.kick_hz * (time_s + (kit.click - 1) * glide_s * -np.expm1(-time_s / glide_s))
        sound = np.sin(2 * np.pi * cycles) * np.exp(-time_s / kit.kick_s)
    elif midi == SNARE:
        skin = np.sin(2 * np.pi * kit.snare_hz * time_s) * np.exp(-time_s / (0.6 * kit.snare_s))
        sound = 10 ** (kit.snare_db / 20) * (
            0.5 * skin + 0.5 * _noise_at(noise, 1_200.0) * np.exp(-time_s / kit.snare_s)
        )
    elif midi in (CLOSED_HAT, OPEN_HAT):
        decay_s = kit.hat_s * (5 if midi == OPEN_HAT else 1)
        sound = 10 ** (kit.hat_db / 20) * _noise_at(noise, kit.hat_hz) * np.exp(-time_s / decay_s)
    else:
        raise ValueError(f"midi: no drum {midi}")
    heard = np.flatnonzero(np.abs(sound) > 1e-4)[-1] + 1
    return sound[:heard].astype(np.float32)


def _noise_at(noise: np.ndarray, low_hz: float) -> np.ndarray:
    """Return noise above a frequency, with unit RMS."""
    filtered = run_sections(pass_sections("high", low_hz, SAMPLE_RATE), noise)
    return filtered / np.sqrt(np.mean(np.square(filtered)))
