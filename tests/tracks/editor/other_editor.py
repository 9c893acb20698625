"""An editor that shares nothing with `soundgate.tracks.editor`: it cuts, repeats, fades and equalises by itself."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter, oaconvolve, resample_poly

RATE = 22_050
CUT, KEEP, LOOP, FADE_IN, FADE_OUT, EFFECT, TRANSITION = range(7)
_JOIN = 110
# What is done in order: label, first beat, one past the last, and more by label.
PLAN = (
    (FADE_IN, 0, 4),
    (KEEP, 4, 12),
    (LOOP, 16, 18, 3),
    (EFFECT, 18, 22, 0.5, 0.0),
    (KEEP, 30, 38),
    (KEEP, 22, 28),
    (TRANSITION, 38, 42, 48),
    (KEEP, 52, 60),
    (EFFECT, 60, 64, 1.0, 8.0),
    (KEEP, 66, 76),
    (FADE_OUT, 76, 80),
)


def song(n_beats: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return music with a bass, chords and drums, mono float32, and its beats; no two beats are the same."""
    rng = np.random.default_rng(seed)
    beat = int(rng.integers(9_000, 12_500))
    t = np.arange(beat) / RATE
    wav = []
    for _ in range(n_beats):
        bass = np.sin(2 * np.pi * rng.uniform(50, 120) * t)
        chord = sum(np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) / k for k in range(1, 9) for f in k * roots(rng))
        hat = lfilter([1, -0.95], [1], rng.normal(size=beat)) * np.exp(-t * 30)
        drum = rng.normal(size=beat) * np.exp(-t * 15)
        air = 0.1 * rng.normal(size=beat)
        wav.append(0.05 * (2 * bass + chord * (0.4 + np.exp(-3 * t)) + hat + 2 * drum + air))
    return np.concatenate(wav).astype(np.float32), np.arange(n_beats) * beat


def roots(rng: np.random.Generator) -> np.ndarray:
    """Return the frequencies of a chord's three notes, Hz."""
    return rng.uniform(180, 400) * np.array([1, 1.26, 1.498])


def edited(wav: np.ndarray, beats: np.ndarray, plan: tuple = PLAN) -> tuple[np.ndarray, np.ndarray]:
    """Return the edit that a plan makes, float32 [T], and the label of each beat."""
    labels = np.full(len(beats), CUT)
    edges = np.append(beats, len(wav))
    pieces = []
    for label, first, last, *more in plan:
        labels[first:last] = label
        own = _taken(wav, edges[first], edges[last])
        if label == TRANSITION:
            labels[more[0] : more[0] + last - first] = label
            other = _taken(wav, edges[more[0]], edges[more[0]] + edges[last] - edges[first])
            share = np.linspace(0, 1, len(own))
            own = np.sqrt(1 - share) * own + np.sqrt(share) * other
        elif label in (FADE_IN, FADE_OUT):
            rising = np.sin(np.linspace(0, np.pi / 2, len(own)))
            own = own * (rising if label == FADE_IN else rising[::-1])
        elif label == EFFECT:
            own = more[0] * brighter(own, more[1])
        pieces += [own] * (more[0] if label == LOOP else 1)
    return _joined(pieces), labels


def brighter(wav: np.ndarray, high_db: float, corner_hz: float = 3_000.0) -> np.ndarray:
    """Return audio with its highs raised, by a filter of linear phase and no delay."""
    taps = 255
    gain = 10 ** (high_db / 20)
    low = np.sinc(2 * corner_hz / RATE * (np.arange(taps) - taps // 2)) * np.hamming(taps)
    low /= low.sum()
    return gain * wav + (1 - gain) * oaconvolve(wav, low)[taps // 2 : taps // 2 + len(wav)]


def delayed(wav: np.ndarray, samples: float) -> np.ndarray:
    """Return audio that comes later by a part of a sample, by its phases."""
    n = 2 ** int(np.ceil(np.log2(len(wav) + 4_096)))
    turn = np.exp(-2j * np.pi * np.arange(n // 2 + 1) * samples / n)
    return np.fft.irfft(np.fft.rfft(wav, n) * turn, n)[: len(wav)].astype(np.float32)


def drifted(wav: np.ndarray, rate: float) -> np.ndarray:
    """Return audio played ``rate`` times as long."""
    return _read(wav, np.arange(int(len(wav) * rate)) / rate)


def wandering(wav: np.ndarray, ppm: float, period_s: float) -> np.ndarray:
    """Return audio whose clock goes fast and slow in turn, by so much at most."""
    turn = 2 * np.pi / (period_s * RATE)
    t = np.arange(len(wav))
    return _read(wav, t + ppm * 1e-6 / turn * (np.cos(1.0) - np.cos(turn * t + 1.0)))


def _read(wav: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return audio at places between its samples, by cubic interpolation of four times as many."""
    dense = resample_poly(wav, 4, 1)
    place = 4 * places
    whole = np.clip(place.astype(int), 1, len(dense) - 3)
    part = place - whole
    a, b, c, d = (dense[whole + offset] for offset in (-1, 0, 1, 2))
    cubic = b + 0.5 * part * (c - a + part * (2 * a - 5 * b + 4 * c - d + part * (3 * (b - c) + d - a)))
    return cubic.astype(np.float32)


def mastered(wav: np.ndarray) -> np.ndarray:
    """Return audio brighter, compressed 2.5 to 1 above its RMS, and softly clipped."""
    bright = brighter(wav, 3.0, 4_000.0)
    step = 1 - np.exp(-1 / (0.05 * RATE))
    level = np.sqrt(lfilter([step], [1, step - 1], bright**2) + 1e-9)
    mean = np.sqrt(np.mean(bright**2))
    pressed = bright * np.minimum(1, (level / mean) ** (1 / 2.5 - 1))
    return (0.8 * np.tanh(0.3 * pressed / np.sqrt(np.mean(pressed**2)))).astype(np.float32)


def _taken(wav: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return a passage with what its joins need on both sides."""
    padded = np.pad(wav.astype(float), _JOIN)
    return padded[start : stop + 2 * _JOIN]


def _joined(pieces: list[np.ndarray]) -> np.ndarray:
    out = np.zeros(sum(len(piece) - 2 * _JOIN for piece in pieces) + 2 * _JOIN)
    rising = np.linspace(0, 1, 2 * _JOIN)
    position = 0
    for piece in pieces:
        own = piece.copy()
        own[: 2 * _JOIN] *= rising
        own[-2 * _JOIN :] *= rising[::-1]
        out[position : position + len(own)] += own
        position += len(own) - 2 * _JOIN
    return out[_JOIN:-_JOIN].astype(np.float32)
