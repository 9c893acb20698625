"""Bars and sections of a recording, from its beats."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import librosa
import numpy as np

from soundgate.tracks.editor.deciding.hearing import HOP_S, Heard
from soundgate.tracks.editor.deciding.retakes import unit_rows

METRES = (4, 3)
# Beats are compared by the means of this many parts.
_PARTS = 2
_BARS_PER_SECTION = 8
_MOST_SECTIONS = 16
# Sections are the same one from this cosine of their bars in order.
_SAME = 0.5


class Bars(NamedTuple):
    """The bars of a recording.

    Args:
        edges: int64 [n + 1], beats that bars begin at, the first 0; what lies before the first downbeat belongs to the
            first bar, what is left at the end to the last.
        metre: beats of a bar.
        beats: float32 [N, D], what beats are compared by, of length 1.
        level_db: float [N], the level of each beat.
    """

    edges: np.ndarray
    metre: int
    beats: np.ndarray
    level_db: np.ndarray

    @property
    def n_bars(self) -> int:
        """How many bars there are."""
        return len(self.edges) - 1


class Section(NamedTuple):
    """Bars that belong together.

    Args:
        first: number of the first bar.
        last: one past the last.
        name: a number; sections that are alike have the same one.
    """

    first: int
    last: int
    name: int


def find_bars(heard: Heard, spans_s: np.ndarray) -> Bars:
    """Group beats into bars.

    The metre, three or four beats, and which beat is the first are those at which harmony, timbre and level change most
    beside the other beats of a bar. Without evidence it is four.

    Args:
        heard: the recording.
        spans_s: float [N, 2], the beats that are played, in s and in order; at least one.

    Source: after Goto 2001, "An audio-based real-time beat tracking system" (chord changes tell downbeats).
    """
    beats, level = _beat_features(heard, spans_s)
    change = np.concatenate([[0.0], 1 - np.sum(beats[1:] * beats[:-1], axis=1)])
    change = change + np.maximum(np.diff(level, prepend=level[0]), 0) / 20
    metre, phase, strongest = METRES[0], 0, -np.inf
    for own in METRES:
        for first in range(own):
            strength = _contrast(change, own, first)
            if strength > strongest:
                metre, phase, strongest = own, first, strength
    n_beats = len(spans_s)
    # A last bar that is not whole belongs to the one before.
    inner = np.arange(phase + metre, n_beats - metre + 1, metre)
    return Bars(np.concatenate([[0], inner, [n_beats]]), metre, beats, level)


def find_sections(bars: Bars) -> list[Section]:
    """Return the sections of a recording, in order and without gaps.

    Bars are joined to contiguous sections by likeness, some eight bars each, and sections compared bar by bar.

    Args:
        bars: from `find_bars`.

    Source: McFee and Ellis 2014, "Learning to segment songs with ordinal linear discriminant analysis" (constrained
    agglomeration), by librosa.
    """
    n_bars = bars.n_bars
    features = np.stack([bar_features(bars, number) for number in range(n_bars)])
    wanted = int(np.clip(round(n_bars / _BARS_PER_SECTION), 1, _MOST_SECTIONS))
    starts = librosa.segment.agglomerative(features.T, wanted) if wanted > 1 else np.zeros(1, int)
    sections: list[Section] = []
    # Of a section that comes again the first playing stands for all.
    known: list[np.ndarray] = []
    for first, last in pairwise([*map(int, starts), n_bars]):
        own = features[first:last]
        likeness = [_alike(own, other) for other in known]
        name = int(np.argmax(likeness)) if likeness and max(likeness) >= _SAME else len(known)
        if name == len(known):
            known.append(own)
        sections.append(Section(first, last, name))
    return sections


def bar_features(bars: Bars, number: int) -> np.ndarray:
    """Return what a bar is compared by: its beats' features in order, float32 [metre * D]."""
    own = bars.beats[bars.edges[number] : bars.edges[number + 1]]
    picked = np.linspace(0, len(own) - 1, bars.metre).round().astype(int)
    return own[picked].ravel() / np.sqrt(bars.metre)


def _beat_features(heard: Heard, spans_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, levels = [], []
    for start, stop in spans_s:
        first = min(int(start / HOP_S), heard.n_frames - 1)
        last = max(min(round(stop / HOP_S), heard.n_frames), first + 1)
        parts = np.array_split(np.arange(first, last), _PARTS)
        parts = [part if len(part) else np.array([first]) for part in parts]
        bands = np.concatenate([heard.bands_db[part].mean(axis=0) for part in parts])
        rows.append((bands, heard.pitches[first:last].mean(axis=0)))
        levels.append(heard.level_db[first:last].mean())
    bands, pitches = (np.stack(own) for own in zip(*rows, strict=True))
    bands = np.maximum(bands, bands.max(axis=1, keepdims=True) - 40)
    bands = bands - bands.mean(axis=1, keepdims=True)
    everything = np.ones(len(rows), bool)
    joined = [unit_rows(own, everything) for own in (bands, pitches)]
    return np.concatenate(joined, axis=1) / np.sqrt(2), np.array(levels)


def _contrast(change: np.ndarray, metre: int, phase: int) -> float:
    """Return by how many standard errors the changes at downbeats lie above those at the other beats."""
    first = np.arange(len(change)) % metre == phase
    if first.sum() < 2 or (~first).sum() < 2:
        return -np.inf
    own, others = change[first], change[~first]
    error = np.sqrt(own.var() / len(own) + others.var() / len(others))
    return float((own.mean() - others.mean()) / max(error, 1e-9))


def _alike(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean cosine of two sections' bars, played from the same bar on; unlike lengths are unlike."""
    length = min(len(first), len(second))
    if length < max(len(first), len(second)) / 2:
        return 0.0
    return float(np.mean(np.sum(first[:length] * second[:length], axis=1)))
