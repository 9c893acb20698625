"""How much of a finished song is cut, and how much of what is to be cut in a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from soundgate.audio.io import read_audio
from soundgate.evaluation.gates import gated, judge_gated
from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.statistics import Estimate, ratio_estimate
from soundgate.runtime.console import track
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.beats import TRACKING_RATE, track_beats
from soundgate.tracks.editor.harmless.methods import LOUDNESS, POLICY, RULES, Cutter
from soundgate.tracks.editor.harmless.sessions import DEAD_AIR, KEPT, RETAKE, Piece, record_session
from soundgate.tracks.editor.harmless.settings import HarmlessSettings
from soundgate.tracks.editor.pairs.building import Song

STAGE = "editor-harmless"
_FEWEST_BEATS = 8
# Figures of F1 in the table, and which pieces of a session they are of.
KINDS = {"dead_air": DEAD_AIR, "repeated_takes": RETAKE}


def songs_to_measure(songs: Sequence[Song], pairs: pd.DataFrame, n_songs: int) -> list[Song]:
    """Return songs of the test split, of as many groups as there are.

    Args:
        songs: from `songs_of`.
        pairs: from `read_pairs`.
        n_songs: at most.

    Raises:
        CorpusError: there is none.
    """
    groups = set(pairs["group"][pairs["split"] == "test"])
    test = [song for song in songs if song.group in groups]
    if not test:
        raise CorpusError(STAGE, expected="songs of the test split", found="none")
    table = pd.Series([song.group for song in test])
    order = np.argsort(table.groupby(table).cumcount().to_numpy(), kind="stable")[:n_songs]
    return [test[number] for number in sorted(order)]


def measure(
    songs: Sequence[Song], methods: Mapping[str, Cutter], settings: HarmlessSettings, tempo_bpm: float, seed: int
) -> pd.DataFrame:
    """Let every method edit every song, and a session made of it.

    Args:
        songs: to measure on; those with fewer than eight beats are left out.
        methods: what cuts, by name.
        settings: see `HarmlessSettings`.
        tempo_bpm: centre of the tracker's prior.
        seed: of the sessions.

    Returns:
        A row for each song and method: ``song``, ``group``, ``method``, ``cut`` (share of the finished song),
        ``inner_cuts_per_minute``, and of the session in seconds ``kept_cut``, ``kept``, and ``<kind>_found`` and
        ``<kind>_missed`` for each of ``KINDS``.

    Raises:
        CorpusError: no song has eight beats.
    """
    rows = []
    for song in track(list(songs), "songs"):
        wave = read_audio(song.path, sample_rate=TRACKING_RATE, mono=True).wav[0]
        wave = wave[: round(settings.longest_s * TRACKING_RATE)]
        beats = np.rint(np.array(song.beats_s) * TRACKING_RATE).astype(np.int64)
        beats = beats[beats < len(wave)] if len(beats) else track_beats(wave, TRACKING_RATE, tempo_bpm)
        if len(beats) < _FEWEST_BEATS:
            continue
        session = record_session(wave, beats, keyed_generator(seed, STAGE, f"session {song.pair_id}"))
        for name, cutter in methods.items():
            found = finished_figures(cutter(wave), len(wave)) | session_figures(cutter(session.mono), session.pieces)
            rows.append({"song": song.pair_id, "group": song.group, "method": name} | found)
    if not rows:
        raise CorpusError(STAGE, expected=f"songs of {_FEWEST_BEATS} beats", found=f"none of {len(songs)}")
    return pd.DataFrame(rows)


def finished_figures(cuts: np.ndarray, n_samples: int) -> dict[str, float]:
    """Return the share of a finished song that is cut, and how many inner cuts a minute there are.

    Args:
        cuts: int64 [n, 2], spans in samples that rise.
        n_samples: of the song.
    """
    starts, stops = np.setdiff1d(cuts[:, 0], cuts[:, 1]), np.setdiff1d(cuts[:, 1], cuts[:, 0])
    inner = starts[(starts > 0) & (stops < n_samples)]
    minutes = n_samples / TRACKING_RATE / 60
    return {
        "cut": float(np.diff(cuts, axis=1).sum() / n_samples),
        "inner_cuts_per_minute": len(inner) / minutes,
    }


def session_figures(cuts: np.ndarray, pieces: Sequence[Piece]) -> dict[str, float]:
    """Return the seconds of a session that are cut rightly and wrongly; see `measure`."""
    seconds = {kind: [0.0, 0.0] for kind in (KEPT, *KINDS.values())}
    for piece in pieces:
        if piece.kind in seconds:
            overlap = np.minimum(cuts[:, 1], piece.stop) - np.maximum(cuts[:, 0], piece.start)
            cut = float(np.clip(overlap, 0, None).sum())
            seconds[piece.kind][0] += cut / TRACKING_RATE
            seconds[piece.kind][1] += (piece.stop - piece.start - cut) / TRACKING_RATE
    figures = {"kept_cut": seconds[KEPT][0], "kept": sum(seconds[KEPT])}
    for name, kind in KINDS.items():
        figures |= {f"{name}_found": seconds[kind][0], f"{name}_missed": seconds[kind][1]}
    return figures


def summarise(table: pd.DataFrame, seed: int, n_bootstrap: int) -> dict[str, dict[str, Estimate]]:
    """Return each method's figures over songs: ``cut``, ``inner_cuts_per_minute``, ``kept_cut``, ``<kind>_f1``.

    An F1 counts seconds: what is cut of the kind, what is not, and what is cut of the takes that are kept.

    Args:
        table: from `measure`.
        seed: of the resampling.
        n_bootstrap: resamples.
    """
    found = {}
    for method, rows in table.groupby("method", sort=False):

        def generator(figure: str, method: str = method) -> np.random.Generator:
            return keyed_generator(seed, STAGE, f"{figure} {method}")

        own = {
            figure: group_mean(rows[figure].to_numpy(), rows["group"], generator(figure), n_bootstrap)
            for figure in ("cut", "inner_cuts_per_minute")
        }
        sums = rows.groupby("group").sum(numeric_only=True)
        own["kept_cut"] = ratio_estimate(
            sums["kept_cut"].to_numpy(), sums["kept"].to_numpy(), generator("kept"), n_bootstrap
        )
        for name in KINDS:
            right = 2 * sums[f"{name}_found"]
            all_seconds = right + sums["kept_cut"] + sums[f"{name}_missed"]
            figure = f"{name}_f1"
            own[figure] = ratio_estimate(right.to_numpy(), all_seconds.to_numpy(), generator(figure), n_bootstrap)
        found[method] = own
    return found


def harmless_gates(found: Mapping[str, Mapping[str, Estimate]], settings: HarmlessSettings) -> dict[str, dict]:
    """Hold the rules, the default of `soundgate edit`, against the thresholds.

    The control of doing no harm is the policy's share, that of finding something the loudness rule's F1.

    Args:
        found: from `summarise`.
        settings: see `HarmlessSettings`.
    """
    thresholds, own = settings.thresholds, found[RULES]
    demanded = {
        "finished_song_cut": ("cut", "below", thresholds.finished_song_cut, POLICY),
        "dead_air_f1": ("dead_air_f1", "above", thresholds.dead_air_f1, LOUDNESS),
        "repeated_takes_f1": ("repeated_takes_f1", "above", thresholds.repeated_takes_f1, LOUDNESS),
    }
    return {
        gate: judge_gated(gated(own[figure], side, threshold, found[control][figure].value))
        for gate, (figure, side, threshold, control) in demanded.items()
    }
