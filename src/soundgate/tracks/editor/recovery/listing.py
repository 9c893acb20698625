"""The edit list that a recovered pair stands for: order, repeats, gains, tones and crossfades of runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from soundgate.tracks.editor.edit_list import MAX_GAIN, EditList, Segment, Tone
from soundgate.tracks.editor.editing.effects import fit_effect
from soundgate.tracks.editor.recovery.features import HOP, Frames, mel_centres_hz
from soundgate.tracks.editor.recovery.recover import Recovered
from soundgate.tracks.editor.vocabulary import Label

_FADES = (Label.FADE_IN, Label.FADE_OUT)
_MEL_FLOOR = 1e-10


@dataclass(frozen=True)
class _Part:
    """Beats, or what of one lies in a run, that are played one after the other with one label.

    Attributes:
        label: of all of them; LOOP is KEEP until repeats are counted.
        start: in the edit at the raw recording's clock, samples at the tracking rate.
        stop: likewise.
        lag: position in the raw recording minus position in the edit.
        partner: lag of what a TRANSITION crosses to.
    """

    label: Label
    start: float
    stop: float
    lag: float
    partner: float | None = None


def edit_list_of(found: Recovered, sample_rate: int, file_rate: int, n_samples: int) -> EditList:
    """Make the edit list of a recovered pair.

    Args:
        found: of the pair.
        sample_rate: that it was found at, Hz.
        file_rate: of the raw file, Hz: positions of the list are in its samples.
        n_samples: of the raw file.

    Returns:
        The list. What is played several times at once is a LOOP, within longer runs too; gains and tones are fitted
        to the edit as recovered, relative to what is usual in it.
    """
    scale = file_rate / sample_rate
    segments: list[Segment] = []
    for part in _counted(_split_at_repeats(_parts(found))):
        repeats, own = part
        segment = _segment(own, repeats, found.frames, scale, n_samples, (sample_rate, file_rate))
        if segment is not None:
            segments.append(segment)
    return EditList(sample_rate=file_rate, n_samples=n_samples, segments=tuple(segments))


def _parts(found: Recovered) -> list[_Part]:
    """Return what the edit plays, in order: runs cut where the label of their beats changes, and transitions."""
    parts = [_Part(Label.TRANSITION, t.start, t.stop, t.from_lag, t.to_lag) for t in found.transitions]
    plain = {Label.LOOP: Label.KEEP, Label.CUT: Label.KEEP, Label.TRANSITION: Label.KEEP}
    for run in found.runs:
        cells: list[_Part] = []
        for (first, last), value in zip(found.spans, found.labels, strict=True):
            start, stop = max(first - run.lag, run.start), min(last - run.lag, run.stop)
            label = plain.get(Label(value), Label(value))
            if stop <= start:
                continue
            if cells and cells[-1].label is label:
                cells[-1] = _Part(label, cells[-1].start, stop, run.lag)
            else:
                cells.append(_Part(label, start, stop, run.lag))
        parts += cells
    return sorted(parts, key=lambda part: part.start)


def _split_at_repeats(parts: list[_Part]) -> list[_Part]:
    """Cut neighbours where the second goes back into what the first has played: what both play becomes parts alone."""
    result: list[_Part] = []
    for part in parts:
        last = result[-1] if result else None
        rest = [part]
        if last is not None and part.label is last.label is Label.KEEP and abs(part.start - last.stop) <= HOP:
            back = last.stop + last.lag - part.start - part.lag
            if HOP < back <= part.stop - part.start + HOP and back <= last.stop - last.start + HOP:
                result[-1:] = _cut(last, last.stop - back)
                rest = _cut(part, part.start + back)
        result += rest
    return result


def _cut(part: _Part, place: float) -> list[_Part]:
    """Return both sides of a place in a part; the part whole where one of them would hardly be anything."""
    if place - part.start <= HOP or part.stop - place <= HOP:
        return [part]
    return [replace(part, stop=place), replace(part, start=place)]


def _counted(parts: list[_Part]) -> list[tuple[int, _Part]]:
    """Return each part with its repeats: neighbours that play the same span of the raw recording are one."""
    result: list[tuple[int, _Part]] = []
    for part in parts:
        if result and part.label is Label.KEEP and result[-1][1].label is Label.KEEP:
            repeats, last = result[-1]
            edges = part.start + part.lag - last.start - last.lag, part.stop + part.lag - last.stop - last.lag
            if max(map(abs, edges)) <= HOP and abs(part.lag - last.lag) > HOP:
                result[-1] = repeats + 1, last
                continue
        result.append((1, part))
    return result


def _segment(
    part: _Part, repeats: int, frames: tuple[Frames, Frames], scale: float, n_samples: int, rates: tuple[int, int]
) -> Segment | None:  # fmt: skip
    """Return the segment of a part; None where nothing of it lies in the recording."""
    start = min(max(round((part.start + part.lag) * scale), 0), n_samples)
    stop = min(max(round((part.stop + part.lag) * scale), 0), n_samples)
    if stop <= start:
        return None
    if part.partner is not None:
        partner = round((part.start + part.partner) * scale)
        if not 0 <= partner <= n_samples - (stop - start):
            return Segment(label="KEEP", start=start, stop=stop)
        return Segment(label="TRANSITION", start=start, stop=stop, partner=partner)
    if repeats > 1:
        return Segment(label="LOOP", start=start, stop=stop, repeats=repeats)
    if part.label in _FADES:
        return Segment(label=part.label.name, start=start, stop=stop, gain=_fade(part, frames))
    if part.label is Label.EFFECT:
        return _effect(part, frames, start, stop, rates)
    return Segment(label="KEEP", start=start, stop=stop)


def _powers(part: _Part, frames: tuple[Frames, Frames]) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames of a part in the edit and of its source, as many of each."""
    first, length = round(part.start / HOP), max(round((part.stop - part.start) / HOP), 1)
    shift = round(part.lag / HOP)
    first = max(first, -shift, 0)
    own, source = frames[0].power[first : first + length], frames[1].power[first + shift : first + shift + length]
    length = min(len(own), len(source))
    return own[:length], source[:length]


def _fade(part: _Part, frames: tuple[Frames, Frames]) -> tuple[tuple[float, float], ...]:
    """Return a fade's gains at its quarters, made to rise or fall throughout."""
    own, source = _powers(part, frames)
    rising = part.label is Label.FADE_IN
    if len(own) < 8:
        return ((0.0, 0.0), (1.0, 1.0)) if rising else ((0.0, 1.0), (1.0, 0.0))
    cells = np.array_split(np.arange(len(own)), 4)
    gains = [float(np.sqrt(own[cell].sum() / max(source[cell].sum(), _MEL_FLOOR))) for cell in cells]
    gains = np.minimum(gains, 1.0)
    gains = np.maximum.accumulate(gains) if rising else np.maximum.accumulate(gains[::-1])[::-1]
    # Means of quarters, continued by straight lines to both ends.
    ends = max(1.5 * gains[0] - 0.5 * gains[1], 0.0), max(1.5 * gains[-1] - 0.5 * gains[-2], 0.0)
    places = (0.0, 0.125, 0.375, 0.625, 0.875, 1.0)
    return tuple(
        zip(places, (float(min(ends[0], MAX_GAIN)), *map(float, gains), float(min(ends[1], MAX_GAIN))), strict=True)
    )


def _effect(part: _Part, frames: tuple[Frames, Frames], start: int, stop: int, rates: tuple[int, int]) -> Segment:
    """Return an EFFECT with the level and the tone that its frames tell; KEEP where these are none."""
    own, source = (10 * np.log10(np.maximum(power, _MEL_FLOOR)) for power in _powers(part, frames))
    if not len(own):
        return Segment(label="KEEP", start=start, stop=stop)
    effect = fit_effect(source, own, mel_centres_hz(rates[0]), min(rates))
    gain = () if effect.gain == 1 else ((0.0, min(effect.gain, MAX_GAIN)), (1.0, min(effect.gain, MAX_GAIN)))
    tone: Tone | None = effect.tone
    if not gain and tone is None:
        return Segment(label="KEEP", start=start, stop=stop)
    return Segment(label="EFFECT", start=start, stop=stop, gain=gain, tone=tone)
