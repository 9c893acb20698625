"""What an EFFECT does, told from what the reconstruction model makes of its beats: a level and a three-band tone."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

from soundgate.audio.filters import HIGH_SHELF_HZ
from soundgate.tracks.editor.edit_list import Tone
from soundgate.tracks.editor.timeline import Effect, tone_db

LIMIT_DB = 24.0
AUDIBLE_DB = 0.5
# A band this far below the loudest one of the passage says nothing of a gain.
_HEARD_DB = 50.0


def fit_effect(raw_db: np.ndarray, wanted_db: np.ndarray, band_hz: np.ndarray, sample_rate: int) -> Effect:
    """Fit a level and a `Tone` to the mean difference of two spectrograms, by least squares over the bands.

    Args:
        raw_db: [F, M], the passage as it is.
        wanted_db: [F, M], as it should be.
        band_hz: centres of the bands, [M].
        sample_rate: of the recording that is equalised, Hz; at 10 kHz or less there is no tone.

    Returns:
        The effect; what is under 0.5 dB in it is none.
    """
    heard = (raw_db > raw_db.max(initial=-np.inf) - _HEARD_DB) & (raw_db > raw_db.min(initial=np.inf))
    bands = np.flatnonzero(heard.any(axis=0) & (band_hz < sample_rate / 2))
    if len(bands) == 0:
        return Effect()
    counts = heard.sum(axis=0)[bands]
    difference = np.where(heard, wanted_db - raw_db, 0).sum(axis=0)[bands] / counts
    level, *tone = _fitted(difference, np.sqrt(counts / counts.max()), band_hz[bands], sample_rate)
    gain = 10 ** (level / 20) if abs(level) >= AUDIBLE_DB else 1.0
    audible = [round(value, 2) if abs(value) >= AUDIBLE_DB else 0.0 for value in tone]
    named = dict(zip(("low_db", "mid_db", "high_db"), audible, strict=False))
    return Effect(float(gain), Tone(**named) if any(audible) else None)


def _fitted(difference: np.ndarray, weights: np.ndarray, band_hz: np.ndarray, sample_rate: int) -> list[float]:
    """Return the level, and the tone's three gains where the rate has room for them."""
    mean = float(np.clip(np.average(difference, weights=weights**2), -LIMIT_DB, LIMIT_DB))
    if sample_rate <= 2 * HIGH_SHELF_HZ or len(band_hz) < 4:
        return [mean]

    def errors(parts: np.ndarray) -> np.ndarray:
        low, mid, high = parts[1:]
        made = tone_db(Tone(low_db=low, mid_db=mid, high_db=high), band_hz, sample_rate)
        return weights * (parts[0] + made - difference)

    return least_squares(errors, [mean, 0, 0, 0], bounds=(-LIMIT_DB, LIMIT_DB)).x.tolist()
