"""Labels and edit list of a pair, by alignment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from soundgate.tracks.editor.recovery.alignment import JumpCosts, Run, align
from soundgate.tracks.editor.recovery.clock import (
    Clock,
    coarse_rate,
    fit_clock,
    fit_frame_clock,
    frame_lag,
    on_raw_clock,
)
from soundgate.tracks.editor.recovery.features import HOP, Frames, frames_of, mel_centres_hz
from soundgate.tracks.editor.recovery.frame_transitions import find_frame_transitions
from soundgate.tracks.editor.recovery.gains import beat_gain, relative, spread
from soundgate.tracks.editor.recovery.runs import Sounds, choose_takes, place_splices, runs_in_frames, to_samples
from soundgate.tracks.editor.recovery.settings import RecoverySettings
from soundgate.tracks.editor.recovery.sound import Shifted, emphasised
from soundgate.tracks.editor.recovery.transitions import Transition, find_transitions
from soundgate.tracks.editor.recovery.wander import fit_wander, without_wander
from soundgate.tracks.editor.timeline import beat_spans
from soundgate.tracks.editor.vocabulary import Label

# Samples of the passages that tell how fast the clock runs: short ones while it is known to a thousandth only.
_SHORT_BLOCK, _LONG_BLOCK = 4_096, 16_384
_ROUNDS = 3
# A fade begins, or ends, at no more than this share of its loudest quarter of a beat.
_FADED = 0.7
# A beat beside a fade is part of it if its level is this much below 1, and by as many standard deviations.
_HARDLY, _NOTICEABLE = 0.015, 4.0
# One at its lower end is, if its own first level is at most this share of its last.
_STEEP = 0.8
# An effect, or a fade's slope, is as many standard deviations off what beats usually have.
_OUTLYING = 2.0
# Below this the waves of an edit and its sources have nothing in common, as behind a phase vocoder.
COHERENT = 0.3
# Drift that is told from frames is not worth another round below this.
_FRAME_DRIFT = 5e-5


@dataclass(frozen=True)
class Recovered:
    """What was found.

    Attributes:
        spans: int64 [n, 2], the beats of the raw recording.
        labels: int64 [n], values of `Label`.
        runs: which samples of the edit outside of transitions are which of the raw recording.
        transitions: crossfades of runs.
        clock: of the edit. Samples of the edit above count at the raw recording's clock.
        edit: by that clock and the right way up, float32 [T].
        frames: of the edit as it is above, and of the raw recording.
    """

    spans: np.ndarray
    labels: np.ndarray
    runs: list[Run]
    transitions: list[Transition]
    clock: Clock
    edit: np.ndarray
    frames: tuple[Frames, Frames]


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
    raw_frames = frames_of(raw, sample_rate)
    if not len(spans) or len(edit) < 2 * HOP or len(raw) < 2 * HOP:
        frames = frames_of(edit, sample_rate), raw_frames
        return Recovered(spans, np.full(len(spans), Label.CUT, np.int64), [], [], Clock(coherence=0.0), edit, frames)
    edit, own_frames, coarse, clock = _aligned(edit, raw, raw_frames, sample_rate, spans, settings)
    frames = own_frames, raw_frames
    sounds = Sounds(emphasised(edit), Shifted(emphasised(raw)), raw, frames[1], spans)
    beat = int(np.median(spans[:, 1] - spans[:, 0]))
    if clock.coherence < COHERENT:
        runs = runs_in_frames(coarse, len(edit))
        transitions = find_frame_transitions(runs, frames, spans, beat)
    else:
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
    coherent = clock.coherence >= COHERENT
    levels, bands_db = relative(gains, None if coherent else mel_centres_hz(sample_rate))
    labels[once] = _shaped(once, levels, bands_db if coherent else _pooled(once, bands_db), settings)
    return Recovered(spans, labels, runs, transitions, clock, edit, frames)


class _Aligned(NamedTuple):
    """An edit by the raw recording's clock, and its runs in frames."""

    edit: np.ndarray
    frames: Frames
    runs: list[Run]
    clock: Clock


def _aligned(
    given: np.ndarray, raw: np.ndarray, raw_frames: Frames, sample_rate: int, spans: np.ndarray,
    settings: RecoverySettings,
) -> _Aligned:  # fmt: skip
    """Find rate, polarity and path of an edit, each from the one before."""
    costs = JumpCosts(settings.jump_on_beats, settings.jump_anywhere)
    beats = np.rint(spans[:, 0] / HOP).astype(int)
    edit, frames, sharp = given, frames_of(given, sample_rate), emphasised(raw)
    rate = coarse = coarse_rate(frames.shape, raw_frames.shape)
    stretched = rate != 1
    if stretched:
        edit = on_raw_clock(given, rate)
        frames = frames_of(edit, sample_rate)
    runs = align(frames.shape, raw_frames.shape, beats, costs)
    for block in (*(_SHORT_BLOCK,) * stretched, *(_LONG_BLOCK,) * _ROUNDS):
        clock = fit_clock(runs, emphasised(edit), sharp, block)
        if clock.rate == 1:
            break
        rate *= clock.rate
        edit = on_raw_clock(given, rate)
        frames = frames_of(edit, sample_rate)
        runs = align(frames.shape, raw_frames.shape, beats, costs) if stretched else runs
    if stretched and clock.coherence < COHERENT:
        return _aligned_at_pitch(given, raw_frames, sample_rate, partial(align, beat_frames=beats, costs=costs), coarse)
    wander = fit_wander(runs, emphasised(edit), sharp, sample_rate)
    if wander:
        edit = without_wander(edit, wander, sample_rate)
        frames = frames_of(edit, sample_rate)
        runs = align(frames.shape, raw_frames.shape, beats, costs)
    clock = clock._replace(rate=rate, wander=wander)
    return _Aligned(edit * np.float32(clock.polarity), frames, runs, clock)


def _aligned_at_pitch(
    given: np.ndarray, raw_frames: Frames, sample_rate: int, path: Callable[..., list[Run]], rate: float
) -> _Aligned:
    """Align an edit of another length that has the pitch of the raw recording, by its frames alone."""
    for _ in range(_ROUNDS):
        edit = on_raw_clock(given, rate)
        frames = frames_of(edit, sample_rate, pitch=1 / rate)
        runs = path(frames.shape, raw_frames.shape)
        drift = fit_frame_clock(runs, frames.shape, raw_frames.shape)
        if abs(drift - 1) < _FRAME_DRIFT:
            break
        rate *= drift
    found = [frame_lag(run, frames.shape, raw_frames.shape) for run in runs]
    runs = [run if lag is None else run._replace(lag=lag) for run, lag in zip(runs, found, strict=True)]
    return _Aligned(edit, frames, runs, Clock(rate, 1, 0.0, pitch_kept=True))


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


def _overlap(spans: np.ndarray, start: float, stop: float) -> np.ndarray:
    return np.clip(np.minimum(spans[:, 1], stop) - np.maximum(spans[:, 0], start), 0, None)


def _place(span: np.ndarray, runs: list[Run]) -> tuple[int, int, float]:
    """Return start, stop and lag of the longest stretch of the edit that plays a beat."""
    stretches = [
        (max(round(span[0] - run.lag), run.start), min(round(span[1] - run.lag), run.stop), run.lag) for run in runs
    ]
    return max(stretches, key=lambda stretch: stretch[1] - stretch[0])


def _shaped(beats: np.ndarray, levels: np.ndarray, bands_db: np.ndarray, settings: RecoverySettings) -> np.ndarray:
    """Tell KEEP, fades and EFFECT of beats heard once by their gains."""
    if not len(beats):
        return np.empty(0, np.int64)
    position = (np.arange(levels.shape[1]) + 0.5) / levels.shape[1] - 0.5
    slope = levels @ position / (position @ position)
    mean = levels.mean(axis=1)
    sizes_db = np.column_stack([20 * np.log10(np.maximum(mean, 1e-3)), bands_db])
    least_db = [max(settings.effect_db, _OUTLYING * spread(column)) for column in sizes_db.T]
    unshaped = np.where((np.abs(sizes_db) > least_db).any(axis=1), Label.EFFECT, Label.KEEP)
    labels = unshaped.copy()
    steep = max(settings.fade_slope, _OUTLYING * spread(slope))
    labels[(slope > steep) & (mean < 1.2)] = Label.FADE_IN
    labels[(slope < -steep) & (mean < 1.2)] = Label.FADE_OUT
    labels = _steadied(beats, labels)
    labels = _steadied(beats, np.where(_unfinished(beats, labels, levels), unshaped, labels))
    return _lengthened(beats, labels, levels, max(_HARDLY, _NOTICEABLE * spread(mean)))


def _lengthened(beats: np.ndarray, labels: np.ndarray, levels: np.ndarray, least: float) -> np.ndarray:
    """Let fades begin and end where levels leave 1 and 0: a curve that is flat there has too little slope."""
    result = labels.copy()
    for label, up in ((Label.FADE_IN, 1), (Label.FADE_OUT, -1)):
        for step, beside in ((up, Label.KEEP), (-up, Label.EFFECT)):
            for n in np.flatnonzero(labels == label)[::step]:
                while 0 <= n + step < len(beats) and result[n + step] == beside:
                    # Both beats' quarters, from the lower end of the fade to the higher one.
                    course = np.concatenate([levels[m][::up] for m in (n, n + step)[:: up * step]])
                    goes_on = beats[n + step] - beats[n] == step and (np.diff(course) > -least / 2).all()
                    far = course[4:] if step == up else course[:4]
                    if not goes_on or far[0] > (1 - least if step == up else _STEEP * far[-1]):
                        break
                    n += step
                    result[n] = label
    return result


def _pooled(beats: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return medians of each beat's values and its neighbours', [n, D]."""
    result = values.copy()
    for n in range(1, len(beats) - 1):
        if beats[n - 1] + 1 == beats[n] == beats[n + 1] - 1:
            result[n] = np.median(values[n - 1 : n + 2], axis=0)
    return result


def _unfinished(beats: np.ndarray, labels: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Say which fades do not come from, or go to, much less than they end or start with."""
    result = np.zeros(len(beats), bool)
    edges = np.flatnonzero((np.diff(labels) != 0) | (np.diff(beats) != 1)) + 1
    for own in np.split(np.arange(len(beats)), edges):
        if labels[own[0]] in (Label.FADE_IN, Label.FADE_OUT):
            quarters = levels[own].ravel()[:: 1 if labels[own[0]] == Label.FADE_IN else -1]
            result[own] = quarters[0] > _FADED * quarters.max()
    return result


def _steadied(beats: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Let a beat between two neighbours of one label have it too."""
    result = labels.copy()
    for n in range(1, len(beats) - 1):
        if beats[n - 1] + 1 == beats[n] == beats[n + 1] - 1 and labels[n - 1] == labels[n + 1]:
            result[n] = labels[n - 1]
    return result
