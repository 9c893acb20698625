"""What is cut from a recording, and by which rule: dead air, talk, count-ins, repeated takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from soundgate.tracks.editor.beats import TRACKING_RATE
from soundgate.tracks.editor.deciding.dead_air import Quiet, find_dead_air
from soundgate.tracks.editor.deciding.hearing import HOP_S, Heard, hear
from soundgate.tracks.editor.deciding.retakes import STEP_S, Match, describe, match_takes
from soundgate.tracks.editor.deciding.spans import between, ramp
from soundgate.tracks.editor.deciding.talk import count_in, talk_score

DEAD_AIR, TALK, COUNT_IN, RETAKE = RULES = ("dead air", "talk", "count-in", "repeated take")
# Dead air this sure tells takes apart, whether or not it is cut.
_APART = 0.3
# From this score what is talk is no take that something else repeats, and what is repeated is compared no more.
_SURE = 0.5
# Where more of what sounds may be talk, the recording is not of music.
_MOSTLY = 0.5
# What is left of dead air beside what is kept, and at the ends of the recording.
_MARGIN_S, _END_MARGIN_S = 0.1, 0.5
# Score 0 and 1: a second or two of silence before and after the music belongs to a finished recording.
_END_S = (1.5, 4.0)
# So near an end of a take a match counts as reaching it.
_NEAR_S = 1.5
# Score 0 and 1 of what a repeated take has in common with its repetition: likeness, by how much it is more alike
# there than a second or more beside it, length, difference in tempo.
_LIKENESS = (0.65, 0.85)
_CONTRAST = (0.05, 0.15)
_SHARED_S = (1.0, 2.0)
_TEMPO = (0.2, 0.1)
# Score 0 and 1 of what runs on at the end of a take: length; of a take that breaks off: length beside the whole one.
# What is shorter, or not so much shorter, may be the song's own repetition.
_RUN_ON_S = (2.5, 4.0)
_BROKEN_OFF = (0.75, 0.6)
# So short alone, and at most half as long as what follows, a take was broken off, however repetitive the music.
_FRAGMENT_S = 8.0
# How many takes back a take is compared with; between them there may be a noise that was not known as such.
_TAKES_BACK = 3
# The last and first seconds of two takes that are compared on their own.
_ENDS_S = (6.0, 12.0)


class Cut(NamedTuple):
    """A stretch that is to be left out.

    Args:
        start_s: where it begins.
        stop_s: where it ends.
        rule: which rule says so, one of ``RULES``.
        score: how sure it is, 0 to 1.
    """

    start_s: float
    stop_s: float
    rule: str
    score: float


class _Take(NamedTuple):
    """Sound between two stretches of dead air, in frames; ``music`` begins behind a count-in, of that score."""

    start: int
    music: int
    stop: int
    count_in: float


def find_cuts(mono: np.ndarray, beats: np.ndarray) -> list[Cut]:
    """Return everything that a rule would cut, however unsure, in the order of time; cuts may overlap.

    Nothing here depends on the recording's gain.

    Args:
        mono: float32 [T] at ``TRACKING_RATE``.
        beats: samples of it, rising; a cut within a take begins at one.
    """
    heard = hear(mono, TRACKING_RATE)
    quiet = find_dead_air(heard)
    cuts = [cut for own in quiet if (cut := _dead_air(own, heard.n_frames))]
    apart = np.array([own[:2] for own in quiet if own.score >= _APART], np.int64).reshape(-1, 2)
    # Without dead air in it a recording is one take, and there is nothing to compare.
    sounds = between(apart, heard.n_frames)
    talk = _talk(heard, sounds)
    takes = [_take(heard, *sound) for sound, score in zip(sounds, talk, strict=True) if score < _SURE]
    pairs = zip(sounds, talk, strict=True)
    cuts += [Cut(start * HOP_S, stop * HOP_S, TALK, score) for (start, stop), score in pairs if score > 0]
    cuts += [Cut(own.start * HOP_S, own.music * HOP_S, COUNT_IN, own.count_in) for own in takes if own.count_in > 0]
    if len(takes) > 1:
        cuts += _retakes(heard, takes, np.asarray(beats) / TRACKING_RATE)
    return sorted(cuts)


def _talk(heard: Heard, sounds: np.ndarray) -> list[float]:
    """Return how surely each stretch of sound is talk; 0 for all where most of what sounds may be, as in a lecture."""
    inner = (sounds[:, 0] > 0) & (sounds[:, 1] < heard.n_frames)
    scores = [talk_score(heard, *sound) if own else 0.0 for sound, own in zip(sounds, inner, strict=True)]
    spoken = int(np.diff(sounds, axis=1)[np.array(scores) > 0].sum())
    return scores if spoken < _MOSTLY * np.diff(sounds, axis=1).sum() else [0.0] * len(scores)


def _take(heard: Heard, start: int, stop: int) -> _Take:
    # A recording that begins with clicks may be meant to.
    music, score = count_in(heard, start, stop) if start > 0 else (start, 0.0)
    return _Take(int(start), int(music), int(stop), score)


def _dead_air(quiet: Quiet, n_frames: int) -> Cut | None:
    at_start, at_end = quiet.start == 0, quiet.stop >= n_frames
    start_s = quiet.start * HOP_S + (0 if at_start else _END_MARGIN_S if at_end else _MARGIN_S)
    stop_s = quiet.stop * HOP_S - (0 if at_end else _END_MARGIN_S if at_start else _MARGIN_S)
    score = quiet.score
    if at_start or at_end:
        score *= ramp((quiet.stop - quiet.start) * HOP_S, *_END_S)
    return Cut(start_s, stop_s, DEAD_AIR, score) if stop_s > start_s and score > 0 else None


def _retakes(heard: Heard, takes: list[_Take], beats_s: np.ndarray) -> list[Cut]:
    """Compare each take with those before it that are still there."""
    moments, cuts, left = describe(heard), [], []
    for take in takes:
        kept = True
        for before in left[: -_TAKES_BACK - 1 : -1]:
            found = _repeated(moments, before, take, beats_s)
            if found is None:
                continue
            cuts.append(found)
            if found.score < _SURE:
                continue
            # The earlier take was broken off, or played again: what is left of it is compared no more.
            kept = found.start_s < take.start * HOP_S
            if kept:
                left = left[: left.index(before)]
                if found.start_s > before.music * HOP_S + _NEAR_S:
                    left.append(before._replace(stop=round(found.start_s / HOP_S)))
            break
        if kept:
            left.append(take)
    return cuts


def _repeated(moments: np.ndarray, before: _Take, take: _Take, beats_s: np.ndarray) -> Cut | None:
    """Return what to cut of two takes: of the earlier one what the later repeats, or all of a later that breaks off.

    The repetition must begin where the later take does, and reach the end of one of both: music that repeats itself
    is not played from a new start.
    """
    first, second = (moments[round(own.music * HOP_S / STEP_S) : round(own.stop * HOP_S / STEP_S)]
                     for own in (before, take))  # fmt: skip
    near = _NEAR_S / STEP_S
    for limit_s in (None, *_ENDS_S):
        length = min(len(first), len(second)) if limit_s is None else round(limit_s / STEP_S)
        if limit_s is not None and length > min(len(first), len(second)):
            break
        offset = 0 if limit_s is None else len(first) - length
        match = match_takes(first[offset:], second if limit_s is None else second[:length])
        if match is None or match.second[0] > near:
            continue
        begins_s = before.music * HOP_S + (offset + match.first[0]) * STEP_S
        if offset + match.first[-1] >= len(first) - near:
            whole = offset + match.first[0] <= near
            start_s = before.start * HOP_S if whole else _nearest(beats_s, begins_s)
            fragment = whole and len(first) * STEP_S < _FRAGMENT_S and 2 * len(first) <= len(second)
            score = _match_score(match, fragment) * (1 if whole else ramp(_length_s(match), *_RUN_ON_S))
            return Cut(start_s, take.music * HOP_S, RETAKE, score) if score > 0 else None
        if limit_s is None and match.second[-1] >= len(second) - near:
            score = _match_score(match, False) * ramp(len(second) / len(first), *_BROKEN_OFF)
            return Cut(take.start * HOP_S, take.stop * HOP_S, RETAKE, score) if score > 0 else None
    return None


def _match_score(match: Match, fragment: bool) -> float:
    lengths = match.first[-1] - match.first[0] + 1, match.second[-1] - match.second[0] + 1
    slower = abs(lengths[0] / lengths[1] - 1)
    alike = ramp(match.likeness, *_LIKENESS) * (1 if fragment else ramp(match.contrast, *_CONTRAST))
    return alike * ramp(_length_s(match), *_SHARED_S) * ramp(slower, *_TEMPO)


def _length_s(match: Match) -> float:
    return float(min(own[-1] - own[0] + 1 for own in (match.first, match.second)) * STEP_S)


def _nearest(beats_s: np.ndarray, time_s: float) -> float:
    return float(beats_s[np.abs(beats_s - time_s).argmin()]) if len(beats_s) else time_s
