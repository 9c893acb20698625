"""Makes the raw recording, its beats and the edit list of a drawn plan."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from soundgate.audio.filters import equaliser_sections, run_sections
from soundgate.tracks.editor.edit_list import EditList, Segment
from soundgate.tracks.editor.pairs.drawing import BEATS_PER_BAR, Part, Plan
from soundgate.tracks.editor.rendering import render
from soundgate.tracks.editor.timeline import FADES
from soundgate.tracks.editor.vocabulary import Label

# What a treated passage has beyond its ends, so that joins in the raw recording are faded as an edit's are.
_MARGIN_S = 0.25
_DEAD_AIR_DB = (-55.0, -45.0)


class Assembled(NamedTuple):
    """A raw recording with its truth.

    Args:
        raw: int16 [1, T].
        edit: the edit list that makes the song.
        beats: int64 samples of the raw recording, in dead air at the tempo of what stands before it.
    """

    raw: np.ndarray
    edit: EditList
    beats: np.ndarray


def assemble(
    song: np.ndarray, sample_rate: int, beats: np.ndarray, plan: Plan, generator: np.random.Generator
) -> Assembled:
    """Make a raw recording of a song.

    Args:
        song: mono float32 [T] in [-1, 1].
        sample_rate: above 10 kHz.
        beats: int64 samples of the song; from the first on, every four make a bar, and one more ends the last.
        plan: of as many bars as there are.
        generator: of noises.

    Returns:
        The raw recording; its joins are crossfaded as those of an edit, so that nothing but the music tells them.
    """
    tape = _Tape(song, sample_rate, generator)
    placed, raw_beats, position = [], [], 0
    for part in plan.parts:
        marks = _marks(part, beats)
        tape.add(part, marks)
        placed.append(position + marks - marks[0])
        raw_beats.append(placed[-1][:-1])
        position = int(placed[-1][-1])
    segments = [s for number in plan.order for s in _segments(plan.parts[number], placed[number])]
    edit = EditList(sample_rate=sample_rate, n_samples=position, segments=tuple(segments))
    return Assembled(tape.play(), edit, np.concatenate(raw_beats))


class _Tape:
    """The song followed by every treated passage, and which spans of it the raw recording plays."""

    def __init__(self, song: np.ndarray, sample_rate: int, generator: np.random.Generator) -> None:
        self.song, self.sample_rate, self.generator = song, sample_rate, generator
        self.rms = float(np.sqrt(np.mean(np.square(song, dtype=np.float64))))
        self.pieces, self.length, self.spans = [song], len(song), []

    def add(self, part: Part, marks: np.ndarray) -> None:
        """Add what a part plays: the song's own samples, or treated ones."""
        start, stop = int(marks[0]), int(marks[-1])
        treated = part.bars is None or part.gain_db or part.tone is not None or part.take_db is not None
        if part.bars is None:
            stop = start + int(marks[-1] - marks[0])
        if treated:
            margin = min(round(_MARGIN_S * self.sample_rate), start, len(self.song) - stop)
            passage = self._treated(part, self.song[start - margin : stop + margin])
            start, stop = self.length + margin, self.length + margin + stop - start
            self.pieces.append(passage)
            self.length += len(passage)
        self.spans.append((start, stop))

    def play(self) -> np.ndarray:
        """Return the raw recording, int16 [1, T]."""
        segments = tuple(Segment(label="KEEP", start=start, stop=stop) for start, stop in self.spans)
        tape = np.concatenate(self.pieces)[None]
        recording = EditList(sample_rate=self.sample_rate, n_samples=tape.shape[1], segments=segments)
        raw = render(tape, recording)
        return np.rint(raw * (32_767 / max(1.0, float(np.abs(raw).max())))).astype(np.int16)

    def _treated(self, part: Part, passage: np.ndarray) -> np.ndarray:
        noise = self.generator.standard_normal(len(passage), np.float32) * np.float32(self.rms)
        if part.bars is None:
            return noise * np.float32(10 ** (self.generator.uniform(*_DEAD_AIR_DB) / 20))
        if part.tone is not None:
            tone = part.tone
            sections = equaliser_sections(-tone.low_db, -tone.mid_db, -tone.high_db, self.sample_rate)
            passage = run_sections(sections, passage)
        passage = passage * np.float32(10 ** (-part.gain_db / 20))
        return passage if part.take_db is None else passage + noise * np.float32(10 ** (part.take_db / 20))


def _marks(part: Part, beats: np.ndarray) -> np.ndarray:
    """Return the song's beats a part lies on, with the one that ends it; dead air lies anywhere, as long as a bar."""
    if part.bars is None:
        period = int(beats[BEATS_PER_BAR] - beats[0])
        return beats[0] + np.arange(part.n_bars * BEATS_PER_BAR + 1) * period // BEATS_PER_BAR
    first = part.bars[0] * BEATS_PER_BAR
    return beats[first : first + part.n_bars * BEATS_PER_BAR + 1]


def _segments(part: Part, marks: np.ndarray) -> list[Segment]:
    """Return how the edit plays a part, which lies on these beats of the raw recording."""
    start, stop = int(marks[0]), int(marks[-1])
    if part.label == "TRANSITION":
        middle = int(marks[len(marks) // 2])
        length = min(middle - start, stop - middle)
        return [Segment(label="TRANSITION", start=start, stop=start + length, partner=stop - length)]
    if part.label == "EFFECT":
        gain = 10 ** (part.gain_db / 20)
        points = ((0.0, gain), (1.0, gain)) if part.gain_db else ()
        return [Segment(label="EFFECT", start=start, stop=stop, gain=points, tone=part.tone)]
    gain = FADES.get(Label[part.label], ())
    return [Segment(label=part.label, start=start, stop=stop, repeats=part.repeats, gain=gain)]
