"""Edit lists and labels of beats, each on the timeline of the raw recording."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.signal import sosfreqz

from soundgate.audio.filters import equaliser_sections
from soundgate.tracks.editor.edit_list import EditList, Segment, Tone
from soundgate.tracks.editor.vocabulary import Label

FADES = {Label.FADE_IN: ((0.0, 0.0), (1.0, 1.0)), Label.FADE_OUT: ((0.0, 1.0), (1.0, 0.0))}
# A label does not say how often: the mean of what `soundgate.tracks.editor.pairs.drawing` draws, 2 to 4.
LOOP_REPEATS = 3


class Effect(NamedTuple):
    """What an EFFECT does; without gain and tone it keeps what it is on.

    Args:
        gain: linear.
        tone: the equaliser, if there is one.
    """

    gain: float = 1.0
    tone: Tone | None = None


def beat_spans(beats: np.ndarray, n_samples: int) -> np.ndarray:
    """Return the spans that beats cut a recording into.

    Args:
        beats: positions in samples, rising; those outside the recording are left out. Without any, the recording
            is one span.
        n_samples: of the recording.

    Returns:
        int64 [n, 2], first and one past the last sample, without gaps from 0 to ``n_samples``; what lies before the
        first beat is a span of its own.
    """
    inside = np.unique(np.asarray(beats, np.int64))
    inside = inside[(inside > 0) & (inside < n_samples)]
    edges = np.concatenate([[0], inside, [n_samples]])
    return np.stack([edges[:-1], edges[1:]], axis=1) if n_samples else np.empty((0, 2), np.int64)


def labels_of(edit: EditList, spans: np.ndarray) -> np.ndarray:
    """Return each span's label: what most of its samples undergo.

    Args:
        edit: an edit list.
        spans: int64 [n, 2], samples of the raw recording.

    Returns:
        int64 [n], values of `Label`; of a tie the smallest.
    """
    shares = np.zeros((len(spans), len(Label)))
    for segment in edit.segments:
        for start, stop in segment.spans:
            overlap = np.minimum(spans[:, 1], stop) - np.maximum(spans[:, 0], start)
            shares[:, Label[segment.label]] += np.clip(overlap, 0, None)
    shares[:, Label.CUT] = np.clip(spans[:, 1] - spans[:, 0] - shares.sum(axis=1), 0, None)
    return shares.argmax(axis=1)


def from_labels(
    labels: np.ndarray,
    spans: np.ndarray,
    sample_rate: int,
    tone: Tone,
    effects: Mapping[int, Effect] | None = None,
) -> EditList:
    """Make the edit that labels alone describe.

    Neighbours of one label are one segment: a run of LOOP is played ``LOOP_REPEATS`` times, a run of fades is one
    fade. A run of TRANSITION crossfades into the next one, if only cuts lie between, else its first half into its
    second; of two unequal ones the first loses its end, the second its beginning.

    Args:
        labels: [n] values of `Label`.
        spans: int64 [n, 2], what they label, without gaps.
        sample_rate: Hz.
        tone: what EFFECT does, which a label does not say.
        effects: what single runs of EFFECT do instead, by the first beat of the run; see `effect_runs`.

    Raises:
        ValueError: a label is PAD, or there are not as many labels as spans.
    """
    labels = np.asarray(labels)
    if len(labels) != len(spans) or np.any(labels == Label.PAD):
        raise ValueError(f"{len(labels)} labels for {len(spans)} spans, PAD not among them")
    segments, runs = [], _runs(labels, spans)
    while runs:
        label, start, stop = runs.pop(0)
        if label is Label.TRANSITION:
            # What it goes to is the next run, where only cuts lie between, else its own second half.
            paired = bool(runs) and runs[0][0] is label
            segments += _transition(spans, (start, stop), runs.pop(0)[1:] if paired else None)
        else:
            effect = (effects or {}).get(start, Effect(tone=tone))
            segments.append(_segment(label, int(spans[start, 0]), int(spans[stop - 1, 1]), effect))
    n_samples = int(spans[-1, 1]) if len(spans) else 0
    return EditList(sample_rate=sample_rate, n_samples=n_samples, segments=tuple(segments))


def effect_runs(labels: np.ndarray) -> list[tuple[int, int]]:
    """Return the first beat and one past the last of every run of EFFECT."""
    spans = np.stack([np.arange(len(labels)), np.arange(len(labels)) + 1], axis=1)
    return [(start, stop) for label, start, stop in _runs(np.asarray(labels), spans) if label is Label.EFFECT]


def expand(labels: np.ndarray, beats: np.ndarray) -> np.ndarray:
    """Return which beat of the raw recording each beat of the edit comes from.

    Args:
        labels: [n] values of `Label`.
        beats: int64 [n], what the beats are numbered by.

    Returns:
        int64 [n']: without cut beats, each run of LOOP ``LOOP_REPEATS`` times, the first half of a run of TRANSITION
        once for both.
    """
    spans = np.stack([np.arange(len(labels)), np.arange(len(labels)) + 1], axis=1)
    # Here a sample is a beat; rate and tone play no part.
    edit = from_labels(labels, spans, 44_100, Tone())
    played = [np.tile(np.arange(s.start, s.stop), s.repeats) for s in edit.segments]
    return np.asarray(beats)[np.concatenate(played)] if played else np.empty(0, np.int64)


def target_on_raw_timeline(
    mel_db: np.ndarray, edit: EditList, hop_length: float, floor_db: float, bands_hz: np.ndarray
) -> np.ndarray:
    """Return the raw recording's spectrogram with the edit's gains and tones, at its own length.

    Args:
        mel_db: float [n_mels, F] in dB, frame ``f`` centred on sample ``f · hop_length``.
        edit: of the recording.
        hop_length: samples of the raw recording from frame to frame; no whole number where the spectrogram was made
            at another rate.
        floor_db: what is cut becomes this, and nothing falls below it.
        bands_hz: the bands' centre frequencies [n_mels].

    Returns:
        Of the type and shape of ``mel_db``: kept frames as they are, one copy of a loop, fades and transitions by
        their gains, effects by their gain and what their equaliser does at the bands' centres.
    """
    # The last frame may be centred on the end.
    centres = np.minimum(np.arange(mel_db.shape[1]) * hop_length, edit.n_samples - 1)
    gain = np.zeros(len(centres))
    change_db = np.zeros(mel_db.shape)
    for segment in edit.segments:
        for number, (start, stop) in enumerate(segment.spans):
            inside = (centres >= start) & (centres < stop)
            position = (centres[inside] - start + 0.5) / segment.length
            if segment.partner is not None:
                own = (np.cos, np.sin)[number](position * np.pi / 2)
            else:
                own = np.interp(position, *zip(*segment.gain, strict=True)) if segment.gain else 1.0
            gain[inside] = own
            change_db[:, inside] = tone_db(segment.tone, bands_hz, edit.sample_rate)[:, None]
    with np.errstate(divide="ignore"):
        change_db += 20 * np.log10(gain)
    return np.maximum(mel_db + change_db, floor_db).astype(mel_db.dtype)


def tone_db(tone: Tone | None, bands_hz: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return an equaliser's gain at each band's centre, float64 [n_mels] in dB; 0 without an equaliser.

    Args:
        tone: its settings.
        bands_hz: the bands' centre frequencies [n_mels]; those above half the sample rate have that one's gain.
        sample_rate: of what it filters, Hz.
    """
    if tone is None:
        return np.zeros(len(bands_hz))
    sections = equaliser_sections(tone.low_db, tone.mid_db, tone.high_db, sample_rate)
    _, response = sosfreqz(sections, np.minimum(bands_hz, sample_rate / 2), fs=sample_rate)
    return 20 * np.log10(np.abs(response))


def _runs(labels: np.ndarray, spans: np.ndarray) -> list[tuple[Label, int, int]]:
    """Return (label, first span, one past the last) of every run of one label but CUT."""
    edges = (
        np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1, [len(labels)]]) if len(spans) else np.zeros(1, int)
    )
    runs = ((Label(int(labels[start])), int(start), int(stop)) for start, stop in pairwise(edges))
    return [run for run in runs if run[0] is not Label.CUT]


def _segment(label: Label, start: int, stop: int, effect: Effect) -> Segment:
    if label is Label.LOOP:
        return Segment(label="LOOP", start=start, stop=stop, repeats=LOOP_REPEATS)
    if label is Label.EFFECT and effect == Effect():
        return Segment(label="KEEP", start=start, stop=stop)
    if label is Label.EFFECT:
        gain = ((0.0, effect.gain), (1.0, effect.gain)) if effect.gain != 1 else ()
        return Segment(label="EFFECT", start=start, stop=stop, gain=gain, tone=effect.tone)
    return Segment(label=label.name, start=start, stop=stop, gain=FADES.get(label, ()))


def _transition(spans: np.ndarray, first: tuple[int, int], second: tuple[int, int] | None) -> list[Segment]:
    """Crossfade a run of spans into another; a single span with nothing to go to is kept."""
    if second is None:
        half = first[0] + (first[1] - first[0]) // 2
        if half == first[0]:
            return [Segment(label="KEEP", start=int(spans[first[0], 0]), stop=int(spans[first[1] - 1, 1]))]
        first, second = (first[0], half), (half, first[1])
    (start, middle), (partner, stop) = ((int(spans[a, 0]), int(spans[b - 1, 1])) for a, b in (first, second))
    length = min(middle - start, stop - partner)
    return [Segment(label="TRANSITION", start=start, stop=start + length, partner=stop - length)]
