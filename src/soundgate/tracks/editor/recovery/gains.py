"""How much louder or duller each beat of the edit is than what it was made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soundgate.tracks.editor.recovery.features import HOP, Frames, mel_centres_hz

_EDGES_HZ = (200.0, 800.0, 2_500.0, 5_500.0)
_QUARTERS = 4
_AUDIBLE_DB = -30.0


@dataclass(frozen=True)
class BeatGain:
    """What happened to a beat.

    Attributes:
        level: linear gain of its quarters, [4]; nan where the raw recording is silent.
        bands_db: gain of its bands (below 200 Hz, 800 Hz, 2.5 kHz, 5.5 kHz, above), [5]; nan where a band is silent.
    """

    level: np.ndarray
    bands_db: np.ndarray


def beat_gain(edit: np.ndarray, raw: np.ndarray, frames: tuple[Frames, Frames], start: int, stop: int, lag: int,
              sample_rate: int) -> BeatGain:  # fmt: skip
    """Measure a beat of the edit against its source.

    Args:
        edit: emphasised, float32 [T].
        raw: emphasised, float32 [N].
        frames: of the edit and of the raw recording.
        start: of the beat, in the edit.
        stop: its end.
        lag: position in the raw recording minus position in the edit.
        sample_rate: Hz.
    """
    marks = np.linspace(start, stop, _QUARTERS + 1).astype(int)
    level = np.full(_QUARTERS, np.nan)
    for number in range(_QUARTERS):
        here = edit[marks[number] : marks[number + 1]]
        there = raw[max(marks[number] + lag, 0) : marks[number + 1] + lag]
        here = here[: len(there)]
        there = there[: len(here)]
        energy = float(there @ there)
        if energy > 1e-12 * max(len(there), 1):
            level[number] = max(float(here @ there), 0.0) / energy
    return BeatGain(level, _bands(frames, start, stop, lag, sample_rate))


def _bands(frames: tuple[Frames, Frames], start: int, stop: int, lag: int, sample_rate: int) -> np.ndarray:
    # Frames at the ends hear the neighbours.
    first, last = round(start / HOP) + 2, round(stop / HOP) - 1
    shift = round(lag / HOP)
    own, source = (
        f.power[max(a, 0) : max(b, 0)]
        for f, a, b in ((frames[0], first, last), (frames[1], first + shift, last + shift))
    )
    band = np.searchsorted(_EDGES_HZ, mel_centres_hz(sample_rate))
    result = np.full(len(_EDGES_HZ) + 1, np.nan)
    if not len(own) or len(own) != len(source):
        return result
    sums = [np.array([power[:, band == b].sum() for b in range(len(result))], np.float64) for power in (own, source)]
    audible = (sums[0] > 0) & (sums[1] > max(sums[1].sum(), 1e-12) * 10 ** (_AUDIBLE_DB / 10))
    result[audible] = 10 * np.log10(sums[0][audible] / sums[1][audible])
    return result


def relative(gains: list[BeatGain]) -> tuple[np.ndarray, np.ndarray]:
    """Return gains relative to the usual ones, which mastering explains.

    Returns:
        Levels, linear [n, 4], and bands in dB [n, 5]; what is not known is 1 and 0 dB.
    """
    levels = np.array([gain.level for gain in gains]).reshape(-1, _QUARTERS)
    bands = np.array([gain.bands_db for gain in gains]).reshape(-1, len(_EDGES_HZ) + 1)
    if not np.isfinite(levels).any():
        return np.ones_like(levels), np.zeros_like(bands)
    levels = levels / max(_usual(levels.mean(axis=1), 0.05, unknown=1.0), 1e-6)
    known = np.isfinite(bands)
    usual = np.array([_usual(column, 0.5, unknown=0.0) for column in bands.T])
    return np.where(np.isfinite(levels), levels, 1.0), np.where(known, bands - usual, 0.0)


def _usual(values: np.ndarray, width: float, unknown: float) -> float:
    """Return the value that most others are near, by the mean of the densest window; ``unknown`` without any."""
    finite = np.sort(values[np.isfinite(values)])
    if not len(finite):
        return unknown
    counts = np.searchsorted(finite, finite + width, side="right") - np.arange(len(finite))
    first = int(counts.argmax())
    return float(finite[first : first + counts[first]].mean())
