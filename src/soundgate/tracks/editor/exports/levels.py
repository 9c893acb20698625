"""How loud other editors play a clip, and what clips come back from them once that, or their ends, were changed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from soundgate.tracks.editor.exports.clips import Clip

# Times that other editors write end in other digits, and so do levels in dB.
_SAME_SAMPLES = 1
_SAME_LEVEL, _SAME_POSITION = 2e-5, 1e-4


class Levels(NamedTuple):
    """The level of a clip as other editors know it.

    Args:
        volume: linear, of all of it.
        fade_in: samples over which it rises from 0 in a straight line.
        fade_out: samples over which it falls to 0.
        curve: (position from 0 to 1, linear gain) of what is neither a constant nor such a fade.
    """

    volume: float = 1.0
    fade_in: int = 0
    fade_out: int = 0
    curve: tuple[tuple[float, float], ...] = ()


def levels_of(clip: Clip) -> Levels:
    """Return how loud a clip is."""
    if clip.label == "TRANSITION":
        return Levels(fade_in=clip.length) if clip.partner else Levels(fade_out=clip.length)
    gain = tuple((float(position), float(level)) for position, level in clip.shape.get("gain", ()))
    levels = [level for _, level in gain]
    if len(set(levels)) <= 1:
        return Levels(volume=levels[0] if levels else 1.0)
    if len(levels) == 2 and levels[0] == 0:
        return Levels(levels[1], fade_in=clip.length)
    if len(levels) == 2 and levels[1] == 0:
        return Levels(levels[0], fade_out=clip.length)
    return Levels(curve=gain)


def returned(note: str, partner: bool, span: tuple[int, int], position: int, levels: Levels | None) -> list[Clip]:
    """Return the clips that one from another editor stands for.

    What was not changed is as it was to the last digit. A clip whose volume or fades were, or that was trimmed or split
    inside a fade, becomes fades and a level between them: what the other editor plays.

    Args:
        note: of the clip, from `Clip.note`.
        partner: whether it is what a transition goes to.
        span: first sample in the raw recording and one past the last, as it now is.
        position: first sample in the output.
        levels: as they now are; None where the format does not say.

    Raises:
        ValueError: the note is none, or a side of a transition is no fade over all of it any more.
    """
    own = json.loads(note)
    was = Clip(
        int(own["number"]), str(own["label"]), partner, int(own["start"]), int(own["stop"]), position, own["shape"]
    )
    clip = replace(was, start=span[0], stop=span[1])
    if levels_of(was).curve and clip.length != was.length:
        clip = replace(clip, shape=clip.shape | {"gain": _part(was, clip)})
    if levels is None or _alike(_within(levels, clip.length), levels_of(clip)):
        return [clip]
    if levels.curve and _alike(levels, levels_of(was)):
        return [clip]
    if clip.label == "TRANSITION":
        raise ValueError(f"transition {clip.number} is no longer a fade over its whole length")
    return _faded(clip, _within(levels, clip.length))


def within_span(points: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return the (position, level) points of an envelope from 0 to 1; beyond its ends it stays what it is there."""
    if not points:
        return ()
    positions, gains = np.transpose(sorted(points))
    at = np.concatenate([[0], positions[(positions > _SAME_POSITION) & (positions < 1 - _SAME_POSITION)], [1]])
    return tuple(zip(at.tolist(), np.interp(at, positions, gains).tolist(), strict=True))


def _within(levels: Levels, length: int) -> Levels:
    """Return levels whose fades do not reach beyond a clip or into each other."""
    fade_in = min(levels.fade_in, length)
    return levels._replace(fade_in=fade_in, fade_out=min(levels.fade_out, length - fade_in))


def _alike(one: Levels, other: Levels) -> bool:
    """Say whether levels are the same but for their last digits."""
    if len(one.curve) != len(other.curve):
        return False
    levels, positions = [(one.volume, other.volume)], []
    for (position, level), (known_position, known_level) in zip(one.curve, other.curve, strict=True):
        levels.append((level, known_level))
        positions.append(abs(position - known_position))
    fades = abs(one.fade_in - other.fade_in), abs(one.fade_out - other.fade_out)
    return (
        max(fades) <= _SAME_SAMPLES
        and max(positions, default=0) <= _SAME_POSITION
        and all(abs(level - known) <= _SAME_LEVEL * max(known, 1) for level, known in levels)
    )


def _part(was: Clip, clip: Clip) -> list[list[float]]:
    """Return the gain of a part of a clip; beyond its ends it stays what it is there."""
    points = [
        ((was.start + position * was.length - clip.start) / clip.length, level) for position, level in was.shape["gain"]
    ]
    return [list(point) for point in within_span(points)]


def _faded(clip: Clip, levels: Levels) -> list[Clip]:
    """Return a fade in, a level and a fade out, as far as there are any."""
    tone = {"tone": clip.shape["tone"]} if "tone" in clip.shape else {}
    edges = [clip.start, clip.start + levels.fade_in, clip.stop - levels.fade_out, clip.stop]
    ends = ((0.0, levels.volume), (levels.volume, levels.volume), (levels.volume, 0.0))
    clips = []
    for label, start, stop, (first, last) in zip(("FADE_IN", "KEEP", "FADE_OUT"), edges, edges[1:], ends, strict=False):
        gain = {} if first == last == 1 else {"gain": [[0.0, first], [1.0, last]]}
        label = "EFFECT" if tone or (label == "KEEP" and gain) else label
        if levels.curve and start < stop:
            gain, label = {"gain": [[at, gain * levels.volume] for at, gain in levels.curve]}, "EFFECT"
        if start < stop:
            place = clip.position + start - clip.start
            clips.append(Clip(clip.number, label, False, start, stop, place, gain | tone))
    return clips
