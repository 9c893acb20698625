"""Recording sessions made of finished songs: takes, false starts, talk, count-ins and dead air, with the truth."""

from __future__ import annotations

from typing import NamedTuple

import librosa
import numpy as np

from soundgate.audio.noise import coloured_noise
from soundgate.corpora.espeak import SAMPLE_RATE as SPOKEN_RATE
from soundgate.corpora.espeak import Voice, synthesise

KEPT, RETAKE, DEAD_AIR, TALK, COUNT_IN, TAIL = "kept", "retake", "dead air", "talk", "count-in", "tail"
_SHORTEST_PASSAGE = 16
_LONGEST_PASSAGES = 4
_TAIL_S = 0.4
_TEXTS = (
    "Sorry, that was me. Once more, please.", "Wait, I came in too late there.", "Okay, rolling.",
    "Can we do that again, a little bit slower?", "That was good. Let us try one more for safety.",
    "Hold on, my headphones are too loud.", "One, two, three, four.", "Right, from the top.",
    "Did you hear that noise? I think it was the chair.", "Ready when you are.",
)  # fmt: skip
_VOICES = ("en-us+m3", "en-us+f3", "en-us+m7", "en-us+f2", "en-us+m1")


class Piece(NamedTuple):
    """A stretch of a session.

    Args:
        kind: ``kept``, ``retake``, ``dead air``, ``talk``, ``count-in``, or ``tail``: what rings on after a take,
            which may be cut or kept.
        start: first sample.
        stop: one past the last.
    """

    kind: str
    start: int
    stop: int


class Session(NamedTuple):
    """A recording session.

    Args:
        mono: float32 [T].
        pieces: its stretches, without gaps.
    """

    mono: np.ndarray
    pieces: list[Piece]


def record_session(song: np.ndarray, beats: np.ndarray, generator: np.random.Generator) -> Session:
    """Make a session of a song: what is kept are the song's own samples, in order, once each.

    The song is played in passages. Before a passage is played to its end it may be begun and broken off, or played
    to its end and played again; attempts have a tempo (4 %), level (3 dB), tone (2 dB) and noise of their own. The
    last complete take is kept. A take may run on into the next passage and be broken off there.

    Args:
        song: mono float32 [T] at 22,050 Hz.
        beats: int64 samples of the song, rising, at least 8.
        generator: of the draws.
    """
    desk = _Desk(song, beats, generator)
    edges = _passages(len(beats), generator)
    desk.between()
    for number, (first, last) in enumerate(zip(edges, edges[1:], strict=False)):
        # At least the first passage is played again.
        attempts = int(generator.choice([0, 1, 2], p=[0.35, 0.45, 0.2])) if number else 1
        for _ in range(attempts):
            desk.attempt(first, last)
            desk.between()
        runs_on = number + 2 < len(edges) and generator.random() < 0.25
        desk.take(first, last, int(generator.integers(4, 9)) if runs_on else 0)
        desk.between()
    return desk.finished()


def _passages(n_beats: int, generator: np.random.Generator) -> np.ndarray:
    """Return the beats that passages begin at, and the one that ends the last."""
    most = max(1, min(_LONGEST_PASSAGES, (n_beats - 1) // _SHORTEST_PASSAGE))
    n_passages = int(generator.integers(min(2, most), most + 1))
    even = np.linspace(0, n_beats - 1, n_passages + 1)
    shift = generator.uniform(-0.15, 0.15, n_passages + 1) * (n_beats - 1) / n_passages
    shift[[0, -1]] = 0
    return np.rint(even + shift).astype(int)


class _Desk:
    """What is recorded so far."""

    def __init__(self, song: np.ndarray, beats: np.ndarray, generator: np.random.Generator) -> None:
        self.song, self.beats, self.generator = song, beats, generator
        self.rms = float(np.sqrt(np.mean(np.square(song, dtype=np.float64)))) or 1.0
        self.voice = Voice(
            voice=str(generator.choice(_VOICES)), pitch=int(generator.integers(25, 75)), pitch_range=50,
            rate_wpm=int(generator.integers(140, 190)),
        )  # fmt: skip
        self.parts: list[np.ndarray] = []
        self.pieces: list[Piece] = []

    def add(self, kind: str, wave: np.ndarray) -> None:
        start = self.pieces[-1].stop if self.pieces else 0
        if len(wave):
            self.parts.append(wave.astype(np.float32))
            self.pieces.append(Piece(kind, start, start + len(wave)))

    def dead_air(self, limits_s: tuple[float, float]) -> None:
        self.add(DEAD_AIR, np.zeros(round(self.generator.uniform(*limits_s) * SPOKEN_RATE)))

    def between(self) -> None:
        """Record what lies between two takes: dead air, often talk in it, sometimes a count-in."""
        self.dead_air((1.5, 6.0))
        if self.generator.random() < 0.5:
            text = str(self.generator.choice(_TEXTS))
            spoken = synthesise(text, self.voice, int(self.generator.integers(2**31))).astype(np.float32)
            sounding = np.flatnonzero(np.abs(spoken) > 300)
            spoken = spoken[sounding[0] : sounding[-1] + 1]
            level = self.rms * 10 ** (self.generator.uniform(-18, -6) / 20)
            self.add(TALK, spoken * (level / np.sqrt(np.mean(np.square(spoken)))))
            self.dead_air((1.0, 3.0))

    def count_in(self) -> None:
        """Record four clicks of sticks, a beat apart, and a beat's rest after the last."""
        period = int(np.median(np.diff(self.beats)))
        t = np.arange(period) / SPOKEN_RATE
        click = np.sin(2 * np.pi * self.generator.uniform(1_500, 3_000) * t) * np.exp(-t / 0.008)
        click += 0.5 * self.generator.standard_normal(period) * np.exp(-t / 0.004)
        self.add(COUNT_IN, np.tile(click * self.rms * self.generator.uniform(1, 3), 4))

    def attempt(self, first: int, last: int) -> None:
        """Record a take that is not kept: begun and broken off, or complete."""
        kind = self.generator.choice(["false start", "broken off", "complete"], p=[0.4, 0.3, 0.3])
        n_beats = last - first
        if kind == "false start":
            n_beats = min(int(self.generator.integers(4, 13)), n_beats)
        elif kind == "broken off":
            n_beats = max(4, round(n_beats * self.generator.uniform(0.5, 0.9)))
        stop = self.beats[min(first + n_beats, len(self.beats) - 1)]
        if kind != "complete":
            stop = stop - round(self.generator.uniform(0, 0.5) * (self.beats[first + 1] - self.beats[first]))
        if self.generator.random() < 0.4:
            self.count_in()
        self._played(RETAKE, self._played_anew(self.song[self.beats[first] : stop + self._tail()]))

    def take(self, first: int, last: int, n_beyond: int) -> None:
        """Record the take that is kept, and how far it runs on before it is broken off."""
        if self.generator.random() < 0.4:
            self.count_in()
        start, stop = self.beats[first], self.beats[last]
        beyond = self.beats[min(last + n_beyond, len(self.beats) - 1)]
        if n_beyond and beyond > stop:
            self.add(KEPT, self.song[start:stop])
            self._played(RETAKE, self.song[stop : beyond + self._tail()])
        else:
            self._played(KEPT, self.song[start : stop + self._tail()])

    def finished(self) -> Session:
        """Return the session, with the room's noise and at a gain of its own."""
        raw = np.concatenate(self.parts)
        colour = str(self.generator.choice(["white", "pink", "brown"]))
        noise = coloured_noise(colour, len(raw), SPOKEN_RATE, int(self.generator.integers(2**31)))
        raw = raw + noise * np.float32(self.rms * 10 ** (self.generator.uniform(-65, -45) / 20) / noise.std())
        gain = 10 ** (self.generator.uniform(-24, 0) / 20) / max(1.0, float(np.abs(raw).max()))
        return Session((raw * gain).astype(np.float32), self.pieces)

    def _tail(self) -> int:
        return round(_TAIL_S * SPOKEN_RATE)

    def _played(self, kind: str, wave: np.ndarray) -> None:
        """Add what is played and how it rings on."""
        tail = min(self._tail(), len(wave) // 2)
        self.add(kind, wave[:-tail])
        self.add(TAIL, wave[-tail:] * np.exp(-np.arange(tail) / (0.06 * SPOKEN_RATE)))

    def _played_anew(self, wave: np.ndarray) -> np.ndarray:
        """Return a passage as another take has it."""
        again = librosa.effects.time_stretch(wave, rate=float(self.generator.uniform(0.96, 1.04)))
        tilt = 10 ** (self.generator.uniform(-2, 2) / 20) - 1
        again = again + tilt * np.diff(again, prepend=0)
        noise = self.generator.standard_normal(len(again)) * self.rms * 10 ** (self.generator.uniform(-45, -35) / 20)
        return again * 10 ** (self.generator.uniform(-3, 3) / 20) + noise
