"""Recordings and systems, as the outside judge of quality rates them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from soundgate.judges.quality import QualityJudge
from soundgate.runtime.console import track
from soundgate.tracks.rooms.outside.settings import OutsideSettings
from soundgate.tracks.rooms.outside.systems import Signal, signals_of
from soundgate.tracks.rooms.segments import Segments

MEASURES = ("dnsmos_overall", "dnsmos_background")
COLUMNS = ["kind", "source", "utt_id", "speaker_id", "noise_snr_db", "system", *MEASURES]


def rate_recordings(
    judge: QualityJudge, chosen: pd.DataFrame, segments: Segments, settings: OutsideSettings
) -> pd.DataFrame:
    """Return ``COLUMNS``, a row for each recording and system; see `signals_of` for the systems.

    Args:
        judge: of quality.
        chosen: rows of `soundgate.tracks.rooms.outside.recordings.known_recordings`.
        segments: the published clips.
        settings: lengths and levels.
    """
    rows = []
    for recording in track(list(chosen.itertuples(index=False)), "outside judge"):
        identity = {column: getattr(recording, column) for column in COLUMNS[:5]}
        for system, signal in signals_of(recording, segments, settings).items():
            rows.append(identity | {"system": system} | ratings(judge, signal))
    return pd.DataFrame(rows, columns=COLUMNS)


def ratings(judge: QualityJudge, signal: Signal) -> dict[str, float]:
    """Return ``MEASURES`` of a signal, 1 to 5, as `QualityJudge.score` has them, in less time.

    nan of silence, and of what a method made that is not finite.
    """
    if not np.isfinite(signal.wav).all():
        return dict.fromkeys(MEASURES, math.nan)
    found = judge.primary_ratings([signal.wav], signal.sample_rate)
    return {measure: float(found[measure][0]) for measure in MEASURES}
