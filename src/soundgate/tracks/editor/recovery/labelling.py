"""Labels every pair, and measures the labels where the truth is known."""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from soundgate.audio.io import read_audio, resample
from soundgate.evaluation.gates import gated, judge_gated
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.execution import map_items
from soundgate.runtime.ledger import Ledger
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.beats import TRACKING_RATE, track_beats
from soundgate.tracks.editor.pairs.table import truth_of
from soundgate.tracks.editor.recovery.clock import on_raw_clock
from soundgate.tracks.editor.recovery.dtw import labels_by_dtw
from soundgate.tracks.editor.recovery.recover import recover
from soundgate.tracks.editor.recovery.scores import accuracy, class_f1, confusion, controls, estimate, macro_f1
from soundgate.tracks.editor.recovery.settings import LabelsSettings, LabelThresholds
from soundgate.tracks.editor.recovery.table import COLUMNS
from soundgate.tracks.editor.remaster import remaster
from soundgate.tracks.editor.timeline import beat_spans, labels_of
from soundgate.tracks.editor.vocabulary import BEAT_LABELS

STAGE = "editor-labels"
BEATS, VERSIONS = ("oracle", "tracked"), ("clean", "remastered")
MAIN = "oracle_clean"
# Parts per million by which the edit's clock is off in pairs that are measured once more.
DRIFTS_PPM = (10, 50)
_DTW_DECIMATION = 4


class _Pair(NamedTuple):
    """The work of one item."""

    row: tuple
    measured: bool


def label_pairs(settings: LabelsSettings, pairs: pd.DataFrame, seed: int, work: Path) -> tuple[pd.DataFrame, dict]:
    """Label every pair, and measure the method on the pairs of the test split whose truth is known.

    Args:
        settings: see `LabelsSettings`.
        pairs: from `read_pairs`.
        seed: of mastering and resampling.
        work: finished pairs are kept here, so that a killed run goes on.

    Returns:
        The table of labels, see `read_labels`; and the measurements, see `summarise`.
    """
    items = [_Pair(row, bool(row.edit_list) and row.split == "test") for row in pairs.itertuples()]
    parts = list(map_items(partial(_label_once, settings, seed, Ledger(work / "parts")), items, "labels"))
    table = pd.DataFrame([{name: part[name] for name in COLUMNS} for part in parts], columns=COLUMNS)
    measured = [part for part in parts if part["conditions"]]
    return table, summarise(measured, settings, seed) if measured else {}


def summarise(parts: list[dict], settings: LabelsSettings, seed: int) -> dict:
    """Return accuracy, macro-F1, each label's F1 and the confusion for every condition and method.

    Args:
        parts: ``group`` and ``conditions`` (name to method to confusion) of each pair.
        settings: see `LabelsSettings`.
        seed: of the resampling.

    Returns:
        ``<beats>_<version>`` and ``oracle_drift_<ppm>ppm`` to ``recovered`` and ``dtw``, each with ``accuracy`` and
        ``macro_f1`` (estimates over groups), ``f1`` by label and ``confusion``; ``controls``; ``octave`` of the
        tracked tempo.
    """
    groups = sorted({part["group"] for part in parts})
    result: dict = {}
    for condition in parts[0]["conditions"]:
        for method in parts[0]["conditions"][condition]:
            tables = np.stack(
                [sum(np.array(p["conditions"][condition][method]) for p in parts if p["group"] == g) for g in groups]
            )
            generator = keyed_generator(seed, STAGE, f"{condition} {method}")
            scores = {
                name: estimate(tables, score, generator, settings.n_bootstrap).as_dict()
                for name, score in {"accuracy": accuracy, "macro_f1": macro_f1}.items()
            }
            total = tables.sum(axis=0)
            f1 = {label.name: float(value) for label, value in zip(BEAT_LABELS, class_f1(total), strict=True)}
            result.setdefault(condition, {})[method] = scores | {"f1": f1, "confusion": total.tolist()}
    main = np.array(result[MAIN]["recovered"]["confusion"])
    octaves = [part["octave"] for part in parts]
    return result | {"controls": controls(main), "octave": {str(o): octaves.count(o) for o in (0.5, 1.0, 2.0)}}


def label_gates(measured: dict, thresholds: LabelThresholds) -> dict[str, dict]:
    """Return the verdicts: thresholds with oracle beats, and margins over knowing nothing anywhere.

    The control of edits that drift is plain dynamic time warping.
    """
    gates, controls_of = {}, measured["controls"].values()
    for name in ("accuracy", "macro_f1"):
        control, threshold = max(known[name] for known in controls_of), getattr(thresholds, name)
        gates[f"labels_{name}"] = gated(_estimate_of(measured[MAIN]["recovered"][name]), "above", threshold, control)
    for ppm in DRIFTS_PPM:
        own = measured[drift_condition(ppm)]
        control = own["dtw"]["accuracy"]["value"]
        own = _estimate_of(own["recovered"]["accuracy"])
        gates[f"recovery_drift_{ppm}ppm"] = gated(own, "above", thresholds.drift, control)
    control = max(known["macro_f1"] for known in controls_of)
    for beats, version in product(BEATS, VERSIONS):
        own = _estimate_of(measured[f"{beats}_{version}"]["recovered"]["macro_f1"])
        over = Estimate(own.value - control, own.ci_low - control, own.ci_high - control, own.n)
        gates[f"labels_{beats}_{version}_over_control"] = gated(over, "above", 0.0)
    return {name: judge_gated(gate) for name, gate in gates.items()}


def drift_condition(ppm: int) -> str:
    """Return the name of what was measured with the beats known and the edit's clock off by parts per million."""
    return f"oracle_drift_{ppm}ppm"


def _estimate_of(known: dict) -> Estimate:
    return Estimate(**{name: float("nan") if value is None else value for name, value in known.items()})


def _label_once(settings: LabelsSettings, seed: int, ledger: Ledger, pair: _Pair) -> dict:
    return ledger.once(pair.row.pair_id, partial(_label, settings, seed, pair))


def _label(settings: LabelsSettings, seed: int, pair: _Pair) -> dict:
    row, truth = pair.row, truth_of(pair.row)
    part = {"pair_id": row.pair_id, "group": row.group, "split": row.split, "conditions": {}, "octave": None}
    if truth is not None:
        edit_list, beats = truth
        spans = beat_spans(beats, edit_list.n_samples)
        part |= {"origin": "truth", "starts": spans[:, 0], "labels": labels_of(edit_list, spans)}
        return part | (_measure(settings, seed, row) if pair.measured else {})
    raw, edit = (_at_rate(path) for path in (row.raw_path, row.edit_path))
    scale = TRACKING_RATE / row.sample_rate
    found = recover(raw, edit, TRACKING_RATE, np.rint(np.asarray(row.beats) * scale), settings.recovery)
    starts = np.rint(found.spans[:, 0] / scale).astype(int)
    return part | {"origin": "recovered", "starts": starts, "labels": found.labels}


def _measure(settings: LabelsSettings, seed: int, row: tuple) -> dict:
    """Return a pair's confusions by condition and method, and the octave of its tracked tempo."""
    edit_list, known = truth_of(row)
    raw, clean = (_at_rate(path) for path in (row.raw_path, row.edit_path))
    scale = TRACKING_RATE / row.sample_rate
    mastered = remaster(clean, TRACKING_RATE, settings.remaster, keyed_generator(seed, STAGE, row.pair_id))
    tracked = track_beats(raw, TRACKING_RATE, settings.tempo_bpm)
    beats = dict(zip(BEATS, (np.rint(known * scale).astype(int), tracked), strict=True))
    edits = dict(zip(VERSIONS, (clean, mastered), strict=True))
    tried = {f"{which}_{version}": (beats[which], edits[version]) for which, version in product(BEATS, VERSIONS)}
    for ppm in DRIFTS_PPM:
        tried[drift_condition(ppm)] = beats["oracle"], on_raw_clock(clean, 1 + ppm * 1e-6)
    conditions = {}
    for name, (own_beats, edit) in tried.items():
        found = recover(raw, edit, TRACKING_RATE, own_beats, settings.recovery)
        truth = labels_of(edit_list, np.rint(found.spans / scale).astype(int))
        by_dtw = labels_by_dtw(raw, edit, TRACKING_RATE, found.spans, _DTW_DECIMATION)
        conditions[name] = {"recovered": confusion(truth, found.labels), "dtw": confusion(truth, by_dtw)}
    return {"conditions": conditions, "octave": _octave(beats["oracle"], tracked)}


def _octave(known: np.ndarray, tracked: np.ndarray) -> float | None:
    """Return which of half, the same and double the tracked tempo is nearest to; None without beats."""
    if len(tracked) < 2:
        return None
    ratio = np.median(np.diff(known)) / np.median(np.diff(tracked))
    return min((0.5, 1.0, 2.0), key=lambda octave: abs(np.log2(ratio / octave)))


def _at_rate(path: str) -> np.ndarray:
    audio = read_audio(path, mono=True)
    return resample(audio.wav, audio.sample_rate, TRACKING_RATE)[0]
