"""Labels and edit list of a pair, by alignment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from soundgate.runtime.config import Section
from soundgate.tracks.editor.recovery.alignment import JumpCosts, Run, align
from soundgate.tracks.editor.recovery.features import HOP, frames_of
from soundgate.tracks.editor.recovery.gains import beat_gain, relative
from soundgate.tracks.editor.recovery.runs import Sounds, choose_takes, place_splices, to_samples
from soundgate.tracks.editor.recovery.sound import emphasised
from soundgate.tracks.editor.recovery.transitions import Transition, find_transitions
from soundgate.tracks.editor.timeline import beat_spans
from soundgate.tracks.editor.vocabulary import Label


class RecoverySettings(Section):
    """How labels are told from a pair.

    Args:
        jump_on_beats: cost of a jump from a beat's end to a beat's start, in frames that are like nothing.
        jump_anywhere: of any other.
        fade_slope: by how much of the full gain a faded beat rises or falls at least.
        effect_db: by how much the level or a band of an effect differs at least.
    """

    jump_on_beats: float = Field(ge=0)
    jump_anywhere: float = Field(ge=0)
    fade_slope: float = Field(gt=0, lt=1)
    effect_db: float = Field(gt=0)


@dataclass(frozen=True)
class Recovered:
    """What was found.

    Attributes:
        spans: int64 [n, 2], the beats of the raw recording.
        labels: int64 [n], values of `Label`.
        runs: which samples of the edit outside of transitions are which of the raw recording.
        transitions: crossfades of runs.
    """

    spans: np.ndarray
    labels: np.ndarray
    runs: list[Run]
    transitions: list[Transition]


def recover(
    raw: np.ndarray, edit: np.ndarray, sample_rate: int, beats: np.ndarray, settings: RecoverySettings
) -> Recovered:
    """Find what an edit did with each beat of a raw recording.

    Args:
        raw: mono float32 [N].
        edit: mono float32 [T], at the same rate; perhaps mastered.
        sample_rate: Hz; 22,050 is what the settings are for.
        beats: samples of the raw recording, known or tracked.
        settings: see `RecoverySettings`.

    Returns:
        The labels. A beat that is not heard is CUT; one heard more than once is LOOP; what is heard once is told by
        how its level and its bands changed.
    """
    spans = beat_spans(beats, len(raw))
    if not len(spans) or len(edit) < 2 * HOP or len(raw) < 2 * HOP:
        return Recovered(spans, np.full(len(spans), Label.CUT, np.int64), [], [])
    frames = frames_of(edit, sample_rate), frames_of(raw, sample_rate)
    costs = JumpCosts(settings.jump_on_beats, settings.jump_anywhere)
    coarse = align(frames[0].shape, frames[1].shape, np.rint(spans[:, 0] / HOP).astype(int), costs)
    sounds = Sounds(emphasised(edit), emphasised(raw), raw, frames[1], spans)
    beat = int(np.median(spans[:, 1] - spans[:, 0]))
    runs = place_splices(to_samples(coarse, sounds), sounds, beat, beat // 16)
    runs = place_splices(choose_takes(runs, sounds), sounds, beat, beat // 16)
    transitions = find_transitions(runs, sounds, beat)
    runs = _without(runs, transitions)
    times = _times_heard(spans, runs)
    labels = np.where(times >= 1.5, Label.LOOP, np.where(times >= 0.5, Label.KEEP, Label.CUT))
    in_transition = _in_transitions(spans, transitions)
    labels[in_transition & (labels != Label.LOOP)] = Label.TRANSITION
    once = np.flatnonzero(labels == Label.KEEP)
    placed = [_place(spans[number], runs) for number in once]
    gains = [beat_gain(sounds.edit, sounds.raw, frames, *place, sample_rate) for place in placed]
    labels[once] = _shaped(once, *relative(gains), settings)
    return Recovered(spans, labels, runs, transitions)


def _without(runs: list[Run], transitions: list[Transition]) -> list[Run]:
    """Return what of the runs lies outside of the transitions."""
    for transition in transitions:
        cut = []
        for run in runs:
            cut.append(run._replace(stop=min(run.stop, transition.start)))
            cut.append(run._replace(start=max(run.start, transition.stop)))
        runs = [run for run in cut if run.stop > run.start]
    return runs


def _times_heard(spans: np.ndarray, runs: list[Run]) -> np.ndarray:
    """Return how often each beat is heard, in beats' lengths."""
    heard = np.zeros(len(spans))
    for run in runs:
        heard += _overlap(spans, run.start + run.lag, run.stop + run.lag)
    return heard / (spans[:, 1] - spans[:, 0])


def _in_transitions(spans: np.ndarray, transitions: list[Transition]) -> np.ndarray:
    heard = np.zeros(len(spans))
    for transition in transitions:
        for lag in (transition.from_lag, transition.to_lag):
            heard += _overlap(spans, transition.start + lag, transition.stop + lag)
    return heard >= 0.5 * (spans[:, 1] - spans[:, 0])


def _overlap(spans: np.ndarray, start: int, stop: int) -> np.ndarray:
    return np.clip(np.minimum(spans[:, 1], stop) - np.maximum(spans[:, 0], start), 0, None)


def _place(span: np.ndarray, runs: list[Run]) -> tuple[int, int, int]:
    """Return start, stop and lag of the longest stretch of the edit that plays a beat."""
    stretches = [
        (max(int(span[0]) - run.lag, run.start), min(int(span[1]) - run.lag, run.stop), run.lag) for run in runs
    ]
    return max(stretches, key=lambda stretch: stretch[1] - stretch[0])


def _shaped(beats: np.ndarray, levels: np.ndarray, bands_db: np.ndarray, settings: RecoverySettings) -> np.ndarray:
    """Tell KEEP, fades and EFFECT of beats heard once by their gains."""
    if not len(beats):
        return np.empty(0, np.int64)
    position = (np.arange(levels.shape[1]) + 0.5) / levels.shape[1] - 0.5
    slope = levels @ position / (position @ position)
    mean = levels.mean(axis=1)
    changed = np.maximum(np.abs(20 * np.log10(np.maximum(mean, 1e-3))), np.abs(bands_db).max(axis=1))
    labels = np.where(changed > settings.effect_db, Label.EFFECT, Label.KEEP)
    labels[(slope > settings.fade_slope) & (mean < 1.2)] = Label.FADE_IN
    labels[(slope < -settings.fade_slope) & (mean < 1.2)] = Label.FADE_OUT
    return _steadied(beats, labels)


def _steadied(beats: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Let a beat between two neighbours of one label have it too."""
    result = labels.copy()
    for n in range(1, len(beats) - 1):
        if beats[n - 1] + 1 == beats[n] == beats[n + 1] - 1 and labels[n - 1] == labels[n + 1]:
            result[n] = labels[n - 1]
    return result
