"""Questions whose truth is drawn: tones and glides, chords, sentences of a synthetic voice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soundgate.audio.io import resample
from soundgate.corpora.espeak import SAMPLE_RATE as ESPEAK_RATE
from soundgate.corpora.espeak import Voice, synthesise
from soundgate.judges.notes import FRAME_S, LOWEST_MIDI, N_PITCHES, SOUNDING, NotesJudge, note_overlap
from soundgate.judges.pitch import HOP_S, PitchJudge
from soundgate.judges.trial.questions import Question, Recording, Statistics, each, mean_by_group
from soundgate.judges.words import WordsJudge, word_error
from soundgate.runtime.randomness import keyed_generator

N_TONES, TONE_S, TONE_RATE = 24, 1.0, 16_000
N_CHORDS, CHORD_S, CHORD_RATE = 24, 1.5, 22_050
_TONES_HZ = 80.0, 800.0
_TONE_NOISE = 0.02
_RIGHT_CENTS = 50.0
_EDGE_S = 0.05
_CHORD_MIDI = 48, 84
# Each phoneme of English about as often as in speech: IEEE 1969, recommended practice for speech quality, list 1.
SENTENCES = (
    "the birch canoe slid on the smooth planks",
    "glue the sheet to the dark blue background",
    "it is easy to tell the depth of a well",
    "these days a chicken leg is a rare dish",
    "rice is often served in round bowls",
    "the juice of lemons makes fine punch",
    "the box was thrown beside the parked truck",
    "the hogs were fed chopped corn and garbage",
    "four hours of steady work faced us",
    "a large size in stockings is hard to sell",
)
_VOICE = Voice(voice="en-us+m3", pitch=45, pitch_range=50, rate_wpm=140)


def tone(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a tone of eight harmonics in weak noise, float32 [T] at 16 kHz, and its pitch at each sample, Hz.

    Odd numbers glide by up to an octave, even ones stay.
    """
    generator = keyed_generator(0, "judge-tone", str(number))
    low, high = np.log2(_TONES_HZ)
    start = generator.uniform(low, high)
    end = np.clip(start + generator.uniform(-1, 1), low, high) if number % 2 else start
    hz = 2 ** np.linspace(start, end, round(TONE_S * TONE_RATE))
    phase = 2 * np.pi * np.cumsum(hz) / TONE_RATE
    wav = sum(np.sin(order * phase + generator.uniform(0, 2 * np.pi)) / order for order in range(1, 9))
    return (0.3 * wav / np.abs(wav).max() + _TONE_NOISE * generator.standard_normal(len(hz))).astype(np.float32), hz


def chord(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a decaying chord of three or four notes, float32 [T] at 22.05 kHz, and which of 88 keys sound, bool."""
    generator = keyed_generator(0, "judge-chord", str(number))
    midi = generator.choice(np.arange(*_CHORD_MIDI), size=generator.integers(3, 5), replace=False)
    time = np.arange(round(CHORD_S * CHORD_RATE)) / CHORD_RATE
    wav = np.zeros(len(time))
    for hz in 440 * 2 ** ((midi - 69) / 12):
        for order in range(1, 7):
            wav += np.sin(2 * np.pi * order * hz * time + generator.uniform(0, 2 * np.pi)) / order**1.5
    keys = np.zeros(N_PITCHES, bool)
    keys[midi - LOWEST_MIDI] = True
    attack = np.minimum(time / 0.01, 1)
    return (0.5 * wav / np.abs(wav).max() * attack * np.exp(-time)).astype(np.float32), keys


@each
def _pitch(judge: PitchJudge, _: Sequence[Recording]) -> Statistics:
    right = []
    for number in range(N_TONES):
        wav, hz = tone(number)
        track = judge.track(wav[None], TONE_RATE)[0]
        at = np.minimum((np.arange(len(track.hz)) * HOP_S * TONE_RATE).astype(int), len(hz) - 1)
        edge = round(_EDGE_S / HOP_S)
        cents = np.abs(1200 * np.log2(track.hz / hz[at]))[edge:-edge]
        right.append(float((cents <= _RIGHT_CENTS).mean()))
    return {"pitch": mean_by_group(right, [str(number) for number in range(N_TONES)], 0, 1)}


@each
def _notes(judge: NotesJudge, _: Sequence[Recording]) -> Statistics:
    found = []
    for number in range(N_CHORDS):
        wav, keys = chord(number)
        sounding = judge.activations(wav[None], CHORD_RATE)[0].sounding >= SOUNDING
        edge = round(_EDGE_S / FRAME_S)
        middle = sounding[edge:-edge]
        found.append(note_overlap(np.tile(keys, (len(middle), 1)), middle)["note_f1"])
    return {"notes": mean_by_group(found, [str(number) for number in range(N_CHORDS)], 0, 1)}


@each
def _words(judge: WordsJudge, _: Sequence[Recording]) -> Statistics:
    errors = []
    for number, sentence in enumerate(SENTENCES):
        spoken = synthesise(sentence, _VOICE, number).astype(np.float32) / 2**15
        wav = resample(spoken[None], ESPEAK_RATE, judge.sample_rate)
        errors.append(word_error(sentence, judge.transcripts(wav, judge.sample_rate)[0]))
    return {"words": mean_by_group(errors, SENTENCES, 0, np.inf)}


PITCH = Question("pitch", "tones and glides: frames within 50 cents", "signal", "higher", 0.014, _pitch, False)
NOTES = Question("notes", "drawn chords: F1 of each frame's notes", "chord", "higher", float("nan"), _notes, False)
WORDS = Question("words", "synthetic voice: word error", "sentence", "lower", 1.0, _words, False)
