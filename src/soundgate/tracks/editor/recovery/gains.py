"""How much louder or duller each beat of the edit is than what it was made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soundgate.tracks.editor.recovery.features import HOP, Frames, mel_centres_hz, rows_between
from soundgate.tracks.editor.recovery.sound import Shifted

_EDGES_HZ = (200.0, 800.0, 2_500.0, 5_500.0)
_QUARTERS = 4
_AUDIBLE_DB = -30.0
# Where the waves of most quarters agree less than this, frames tell the levels, not projections.
_CORRELATED = 0.992
# Where those of a quarter of them agree like this, the whole edit went through nothing.
_EXACT = 0.9995
# Nor do they where the usual gains of bands differ by more.
_FLAT_DB = 1.0
# Share of the beats that a usual gain is of.
_COMMON = 0.3
_LEVEL_BINS, _BIN_QUARTERS = 8, 32
_USUAL_DB = 1.5
# Standard deviations between which the middle quarter of a normal distribution lies.
_QUARTER_WIDTH = 0.637


@dataclass(frozen=True)
class BeatGain:
    """What happened to a beat.

    Attributes:
        level: linear gain of its quarters by projection of the waves, [4]; nan where the raw recording is silent.
        correlation: of the waves of its quarters, [4]; nan likewise.
        bands_db: gain of its bands (below 200 Hz, 800 Hz, 2.5 kHz, 5.5 kHz, above), [5]; nan where a band is silent.
        mel_db: power of its quarters in the edit and the raw recording, [2, 4, n_mels] in dB; nan where there is none.
    """

    level: np.ndarray
    correlation: np.ndarray
    bands_db: np.ndarray
    mel_db: np.ndarray


def beat_gain(edit: np.ndarray, raw: Shifted, frames: tuple[Frames, Frames], start: int, stop: int, lag: float,
              sample_rate: int) -> BeatGain:  # fmt: skip
    """Measure a beat of the edit against its source.

    Args:
        edit: emphasised, float32 [T].
        raw: emphasised.
        frames: of the edit and of the raw recording.
        start: of the beat, in the edit.
        stop: its end.
        lag: position in the raw recording minus position in the edit.
        sample_rate: Hz.
    """
    marks = np.linspace(start, stop, _QUARTERS + 1).astype(int)
    level, correlation = np.full((2, _QUARTERS), np.nan)
    for number in range(_QUARTERS):
        here = edit[marks[number] : marks[number + 1]]
        there = raw.at(marks[number] + lag, len(here))
        energy, product = float(there @ there), float(here @ there)
        if energy > 1e-12 * max(len(there), 1):
            level[number] = max(product, 0.0) / energy
            correlation[number] = product / max(np.sqrt(energy * float(here @ here)), 1e-20)
    return BeatGain(level, correlation, _bands(frames, start, stop, lag, sample_rate), _mel(frames, marks, lag))


def _mel(frames: tuple[Frames, Frames], marks: np.ndarray, lag: float) -> np.ndarray:
    """Return the mean power of each quarter's frames in both recordings, in dB."""
    result = np.full((2, _QUARTERS, frames[0].power.shape[1]), np.nan)
    for number in range(_QUARTERS):
        first = round(marks[number] / HOP)
        length = max(round(marks[number + 1] / HOP) - first, 1)
        for side, shift in enumerate((0.0, lag / HOP)):
            own = rows_between(frames[side].power, first + shift, length)
            if len(own):
                result[side, number] = 10 * np.log10(np.maximum(own.mean(axis=0), 1e-12))
    return result


def _bands(frames: tuple[Frames, Frames], start: int, stop: int, lag: float, sample_rate: int) -> np.ndarray:
    # Frames at the ends hear the neighbours.
    first, last = round(start / HOP) + 2, round(stop / HOP) - 1
    own, source = (
        rows_between(f.power, first + shift, last - first) for f, shift in zip(frames, (0, lag / HOP), strict=True)
    )
    band = np.searchsorted(_EDGES_HZ, mel_centres_hz(sample_rate))
    result = np.full(len(_EDGES_HZ) + 1, np.nan)
    if not len(own) or len(own) != len(source):
        return result
    sums = [np.array([power[:, band == b].sum() for b in range(len(result))], np.float64) for power in (own, source)]
    audible = (sums[0] > 0) & (sums[1] > max(sums[1].sum(), 1e-12) * 10 ** (_AUDIBLE_DB / 10))
    result[audible] = 10 * np.log10(sums[0][audible] / sums[1][audible])
    return result


def relative(gains: list[BeatGain], centres_hz: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return gains relative to the usual ones, which mastering explains.

    Where the waves agree, levels are projections; else they are told from magnitudes, less what an equaliser and a
    compressor of the whole edit explain.

    Args:
        gains: of each beat.
        centres_hz: of the bands of frames, [n_mels], where the edit's waves have nothing in common with their sources:
            bands are then medians of those.

    Returns:
        Levels, linear [n, 4], and bands in dB [n, 5]; what is not known is 1 and 0 dB.
    """
    levels = np.array([gain.level for gain in gains]).reshape(-1, _QUARTERS)
    bands = np.array([gain.bands_db for gain in gains]).reshape(-1, len(_EDGES_HZ) + 1)
    if not np.isfinite(levels).any():
        return np.ones_like(levels), np.zeros_like(bands)
    mel_db = np.stack([gain.mel_db for gain in gains])
    if centres_hz is not None:
        bands = _bands_by_magnitude(mel_db, centres_hz)
    known = np.isfinite(bands)
    usual = np.array([_usual(column, max(0.5, spread(column)), unknown=np.nan) for column in bands.T])
    if _waves_differ(np.array([gain.correlation for gain in gains]), bands, usual):
        levels = _levels_by_magnitude(mel_db)
    else:
        levels = levels / max(_usual(levels.mean(axis=1), 0.05, unknown=1.0), 1e-6)
    return np.where(np.isfinite(levels), levels, 1.0), np.where(known, bands - usual, 0.0)


def _waves_differ(correlations: np.ndarray, bands: np.ndarray, usual: np.ndarray) -> bool:
    """Say whether projections are no levels: waves hardly agree, or the whole edit is equalised."""
    if np.nanquantile(correlations, 0.75) > _EXACT:
        return False
    near = np.abs(bands - usual) < _FLAT_DB / 2
    common = near.sum(axis=0) > _COMMON * len(bands)
    return bool(np.nanmedian(correlations) < _CORRELATED or (common.any() and np.ptp(usual[common]) > _FLAT_DB))


def spread(values: np.ndarray) -> float:
    """Return the standard deviation of what is usual in a column, of which a quarter suffices; 0 of nothing.

    It is told from the shortest interval that holds a quarter of the values, as a normal distribution has it.
    """
    finite = np.sort(values[np.isfinite(values)])
    n_inside = max(2, -(-len(finite) // 4))
    if len(finite) < n_inside:
        return 0.0
    return float((finite[n_inside - 1 :] - finite[: len(finite) - n_inside + 1]).min()) / _QUARTER_WIDTH


def _levels_by_magnitude(mel_db: np.ndarray) -> np.ndarray:
    """Return linear levels [n, 4] from power in bands, [n, 2, 4, n_mels] in dB, relative to the usual ones.

    The usual gain of each band is the edit's equaliser; what is left of the level, as it usually is where the raw
    recording is as loud, its compressor.
    """
    difference, source = _unusual_db(mel_db)
    level_db = np.ma.median(np.ma.masked_invalid(difference), axis=1).filled(np.nan)
    loudness_db = 10 * np.log10(np.nansum(10 ** (source / 10), axis=1) + 1e-12)
    level_db = level_db - _usual_by_loudness(loudness_db, level_db)
    return 10 ** (level_db.reshape(-1, _QUARTERS) / 20)


def _unusual_db(mel_db: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each quarter's gains less the usual one of each band, [4 n, n_mels], nan where not heard; and sources."""
    own, source = mel_db[:, 0].reshape(-1, mel_db.shape[-1]), mel_db[:, 1].reshape(-1, mel_db.shape[-1])
    difference = own - source
    heard = np.isfinite(difference) & (source > np.nanmax(source, axis=1, keepdims=True) + _AUDIBLE_DB)
    difference[~heard] = np.nan
    difference -= [_usual(column, _USUAL_DB, unknown=0.0) for column in difference.T]
    return difference, source


def _bands_by_magnitude(mel_db: np.ndarray, centres_hz: np.ndarray) -> np.ndarray:
    """Return gains of the bands of beats in dB, [n, 5]: medians, which the loudest frames and bins do not decide.

    A phase vocoder smears what is loud and short. Of a steady bass it may take 10 dB, so the lowest band says nothing.
    """
    difference = _unusual_db(mel_db)[0].reshape(len(mel_db), -1, mel_db.shape[-1])
    band, result = np.searchsorted(_EDGES_HZ, centres_hz), np.full((len(mel_db), len(_EDGES_HZ) + 1), np.nan)
    for number in range(1, result.shape[1]):
        cells = difference[:, :, band == number].reshape(len(mel_db), -1)
        result[:, number] = np.ma.median(np.ma.masked_invalid(cells), axis=1).filled(np.nan)
    return result


def _usual_by_loudness(loudness_db: np.ndarray, level_db: np.ndarray) -> np.ndarray:
    """Return the usual level at each quarter's loudness: that of equally many, joined by lines."""
    known = np.flatnonzero(np.isfinite(level_db))
    if not len(known):
        return np.zeros_like(level_db)
    parts = np.array_split(known[np.argsort(loudness_db[known])], min(max(len(known) // _BIN_QUARTERS, 1), _LEVEL_BINS))
    centres = [float(np.median(loudness_db[part])) for part in parts]
    return np.interp(loudness_db, centres, [_usual(level_db[part], _USUAL_DB, unknown=0.0) for part in parts])


def _usual(values: np.ndarray, width: float, unknown: float) -> float:
    """Return the value that most others are near, by the mean of the densest window; ``unknown`` without any."""
    finite = np.sort(values[np.isfinite(values)])
    if not len(finite):
        return unknown
    counts = np.searchsorted(finite, finite + width, side="right") - np.arange(len(finite))
    first = int(counts.argmax())
    return float(finite[first : first + counts[first]].mean())
