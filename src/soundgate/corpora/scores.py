"""Scores drawn at random: tempo, key, chords, melody, bass and drums, all known to the note."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from soundgate.runtime.randomness import keyed_generator

STAGE = "corpus-music"
PARTS = ("melody", "chords", "bass", "drums")
KICK, SNARE, CLOSED_HAT, OPEN_HAT = 36, 38, 42, 46  # General MIDI
NOTE_TYPES = {
    "score_id": "str",
    "part": "str",
    "onset_s": "float64",
    "offset_s": "float64",
    "midi": "int64",
    "velocity": "int64",
}
BEAT_TYPES = {"score_id": "str", "time_s": "float64", "downbeat": "bool"}

_BAR = 16  # steps: sixteenths of a bar in 4/4
_BEAT = 4
_SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
_FORMS = ("AABA", "ABAC", "AABB", "ABAB", "ABCA", "AABC")
_NEXT_DEGREES = {0: (3, 4, 5, 1), 1: (4, 3), 2: (5, 3), 3: (4, 0, 1, 5), 4: (0, 5, 3), 5: (3, 1, 2, 4)}
# Rhythms of a beat or two, in steps; a negative number is a rest.
_CELLS = ((4,), (2, 2), (3, 1), (1, 1, 2), (2, 1, 1), (1, 2, 1), (1, 3), (-2, 2), (2, -2), (-1, 1, 2), (-4,), (6, 2))
_COMPING = ((0,), (0, 8), (0, 4, 8, 12), (0, 6, 8, 14), (0, 3, 6, 8, 11, 14), (2, 6, 10, 14), (0, 6, 10))
_BASS_STEPS = ((0, 8), (0, 6, 8, 14), (0, 4, 8, 12), (0, 3, 8, 11), (0, 2, 4, 6, 8, 10, 12, 14), (0, 10), (0, 7, 8))
_KICKS = ((0, 8), (0, 10), (0, 6, 10), (0, 3, 8), (0, 7, 10), (0, 8, 14), (0, 5, 8, 11))
_SNARES = ((4, 12), (4, 12, 15), (4, 11), (8,), (4, 7, 12))
_HATS = (tuple(range(0, 16, 2)), tuple(range(16)), (2, 6, 10, 14), (0, 3, 6, 8, 11, 14))
_LOWEST_MELODY, _HIGHEST_MELODY = 60, 84
_LOWEST_CHORD, _LOWEST_BASS = 48, 31
_MIN_NOTE_S = 0.05


@dataclass(frozen=True)
class Score:
    """A piece of music, known to the note.

    Args:
        score_id: names it and keys its draws.
        tempo_bpm: quarter notes a minute.
        duration_s: notes end before.
        notes: the columns of ``NOTE_TYPES``; by part, then onset, then pitch.
        beats: the columns of ``BEAT_TYPES``, in order.
    """

    score_id: str
    tempo_bpm: float
    duration_s: float
    notes: pd.DataFrame
    beats: pd.DataFrame


@dataclass(frozen=True)
class _Harmony:
    """Scale degrees of the chords, how many steps each lasts, and the scale as semitones above the tonic."""

    tonic: int
    scale: tuple[int, ...]
    degrees: tuple[int, ...]
    steps_per_chord: int
    sevenths: bool

    def degree_at(self, step: int) -> int:
        return self.degrees[step // self.steps_per_chord % len(self.degrees)]

    def pitch(self, degree: int) -> int:
        """Return semitones above C of a scale degree, which may lie octaves away."""
        octave, within = divmod(degree, len(self.scale))
        return self.tonic + 12 * octave + self.scale[within]


def draw_score(score_id: str, seed: int, duration_s: float) -> Score:
    """Draw a score; every part has a generator of its own, keyed by the seed and the score's id.

    Args:
        score_id: names the score.
        seed: of the corpus.
        duration_s: of the score; a longer one begins with the notes of a shorter one.
    """
    generator = _generator(seed, score_id, "frame")
    tempo_bpm = round(float(generator.uniform(80, 130)), 1)
    start_s = float(generator.uniform(0.02, 0.2))
    form = _FORMS[generator.integers(len(_FORMS))]
    step_s = 60 / tempo_bpm / _BEAT
    n_bars = int(np.ceil((duration_s - start_s) / (_BAR * step_s)))
    bars = [form[bar % len(form)] for bar in range(n_bars)]
    harmony = _draw_harmony(_generator(seed, score_id, "harmony"))
    drawn = {
        "melody": _melody(_generator(seed, score_id, "melody"), harmony, bars),
        "chords": _chords(_generator(seed, score_id, "chords"), harmony, n_bars),
        "bass": _bass(_generator(seed, score_id, "bass"), harmony, n_bars),
        "drums": _drums(_generator(seed, score_id, "drums"), bars),
    }
    rows = [
        (score_id, part, start_s + onset * step_s, start_s + offset * step_s, midi, velocity)
        for part in PARTS
        for onset, offset, midi, velocity in sorted(drawn[part])
    ]
    notes = pd.DataFrame(rows, columns=list(NOTE_TYPES)).astype(NOTE_TYPES)
    notes = notes[notes["onset_s"] < duration_s - _MIN_NOTE_S].reset_index(drop=True)
    notes["offset_s"] = notes["offset_s"].clip(upper=duration_s)
    times = start_s + np.arange(n_bars * _BAR // _BEAT) * _BEAT * step_s
    beats = pd.DataFrame({"score_id": score_id, "time_s": times, "downbeat": np.arange(len(times)) % 4 == 0})
    beats = beats[beats["time_s"] < duration_s].reset_index(drop=True)
    return Score(score_id, tempo_bpm, duration_s, notes, beats.astype(BEAT_TYPES))


def _generator(seed: int, score_id: str, part: str) -> np.random.Generator:
    return keyed_generator(seed, STAGE, f"{score_id} {part}")


def _draw_harmony(generator: np.random.Generator) -> _Harmony:
    tonic = int(generator.integers(12))
    scale = list(_SCALES.values())[generator.integers(len(_SCALES))]
    degrees = [0]
    for _ in range(int(generator.integers(4, 9)) - 1):
        degrees.append(int(generator.choice(_NEXT_DEGREES[degrees[-1]])))
    steps = _BAR if len(degrees) == 4 else _BAR // 2
    return _Harmony(tonic, scale, tuple(degrees), steps, bool(generator.random() < 0.3))


def _melody(generator: np.random.Generator, harmony: _Harmony, bars: list[str]) -> list[tuple]:
    """Return (onset, offset, midi, velocity) in steps: one motif for each letter, moved along with the chords."""
    centre = int(generator.integers(66, 76))
    motifs = {letter: _motif(generator) for letter in "ABC"}
    notes = []
    for number, letter in enumerate(bars):
        repeated = bars.index(letter) < number
        motif = motifs[letter]
        for position, (step, length, contour, velocity) in enumerate(motif):
            varied = repeated and position == len(motif) - 1
            onset = number * _BAR + step
            midi = _melody_pitch(harmony, onset, contour + (1 if varied else 0), centre)
            notes.append((onset, onset + 0.92 * length, midi, velocity))
    return notes


def _motif(generator: np.random.Generator) -> list[tuple[int, int, int, int]]:
    """Return (step, length, contour in scale degrees, velocity) of a bar's notes, at least three of them."""
    while True:
        step, contour, notes = 0, int(generator.integers(-2, 5)), []
        while step < _BAR:
            cell = _CELLS[generator.integers(len(_CELLS))]
            if step + sum(map(abs, cell)) > _BAR:
                continue
            for length in cell:
                if length > 0:
                    notes.append((step, length, contour, int(generator.integers(80, 116))))
                    contour = int(np.clip(contour + generator.choice((-3, -2, -1, -1, 0, 1, 1, 2, 3, 4)), -5, 8))
                step += abs(length)
        if len(notes) >= 3:
            return notes


def _melody_pitch(harmony: _Harmony, step: int, contour: int, centre: int) -> int:
    """Return the pitch of a contour above the chord's root; on the beat it is the nearest tone of the chord."""
    if step % _BEAT == 0:
        octave, within = divmod(contour, 7)
        contour = 7 * octave + min((0, 2, 4, 7), key=lambda tone: abs(tone - within))
    root = harmony.degree_at(step)
    base = harmony.pitch(root)
    midi = harmony.pitch(root + contour) + 12 * round((centre - 2 - base) / 12)
    while midi < _LOWEST_MELODY:
        midi += 12
    while midi > _HIGHEST_MELODY:
        midi -= 12
    return midi


def _chords(generator: np.random.Generator, harmony: _Harmony, n_bars: int) -> list[tuple]:
    pattern = _COMPING[generator.integers(len(_COMPING))]
    velocity = int(generator.integers(62, 84))
    tones = (0, 2, 4, 6) if harmony.sevenths else (0, 2, 4)
    notes = []
    for onset, until in _onsets(pattern, n_bars, harmony.steps_per_chord):
        root = harmony.degree_at(onset)
        for tone in tones:
            midi = _LOWEST_CHORD + (harmony.pitch(root + tone) - _LOWEST_CHORD) % 12 + (12 if tone > 2 else 0)
            notes.append((onset, onset + 0.95 * (until - onset), midi, velocity))
    return notes


def _bass(generator: np.random.Generator, harmony: _Harmony, n_bars: int) -> list[tuple]:
    pattern = _BASS_STEPS[generator.integers(len(_BASS_STEPS))]
    offsets = generator.choice((0, 0, 4), len(pattern))
    offsets[0] = 0
    notes = []
    for onset, until in _onsets(pattern, n_bars, harmony.steps_per_chord):
        within = onset % _BAR
        moved = int(offsets[pattern.index(within)]) if within in pattern else 0
        pitch = harmony.pitch(harmony.degree_at(onset) + moved)
        midi = _LOWEST_BASS + (pitch - _LOWEST_BASS) % 12
        notes.append((onset, onset + 0.9 * (until - onset), midi, 96))
    return notes


def _onsets(pattern: tuple[int, ...], n_bars: int, steps_per_chord: int) -> list[tuple[int, int]]:
    """Return (step, next step) of a bar's pattern repeated, with an onset at every change of chord as well."""
    steps = {bar * _BAR + step for bar in range(n_bars + 1) for step in pattern}
    steps |= set(range(0, n_bars * _BAR, steps_per_chord)) if min(pattern) == 0 else set()
    ordered = sorted(steps)
    return [(onset, until) for onset, until in pairwise(ordered) if onset < n_bars * _BAR]


def _drums(generator: np.random.Generator, bars: list[str]) -> list[tuple]:
    """Return the drums' hits; the sections of a letter share a groove, and every fourth bar ends with a fill."""
    kicks = {letter: _KICKS[generator.integers(len(_KICKS))] for letter in "ABC"}
    snares, hats = _SNARES[generator.integers(len(_SNARES))], _HATS[generator.integers(len(_HATS))]
    fill = tuple(12 + np.flatnonzero(generator.random(4) < 0.6))
    hits = []
    for bar, letter in enumerate(bars):
        base = bar * _BAR
        hits += [(base + step, base + step + 2, KICK, 112) for step in kicks[letter]]
        struck = sorted({*snares, *(fill if bar % 4 == 3 else ())})
        hits += [(base + step, base + step + 2, SNARE, 104 if step in (4, 8, 12) else 72) for step in struck]
        for step in hats:
            opened = step == hats[-1] and bar % 2 == 1
            hits.append((base + step, base + step + 1, OPEN_HAT if opened else CLOSED_HAT, 90 if step % 4 == 0 else 66))
    return hits
