"""F1 of notes with intervals over groups, and the gates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from soundgate.evaluation.gates import gated, judge_gated
from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.outside.clips import STAGE
from soundgate.tracks.transfer.outside.listening import MEASURES
from soundgate.tracks.transfer.outside.settings import OutsideThresholds
from soundgate.tracks.transfer.outside.systems import (
    CONTROL,
    COPY_SYNTHESIS,
    KNN,
    NO_TRANSFER,
    TRANSFER,
    TRUE_TARGET,
    UNTRAINED,
)

# What a transfer owes its source, and which of it the judge of notes hears.
KEPT, BY_NOTES = ("note_recall", "harmony", "bass", "rhythm"), ("note_recall", "rhythm")

Figures = Mapping[str, Mapping[str, Mapping[str, Estimate]]]


def summarise(table: pd.DataFrame, seed: int, n_bootstrap: int) -> Figures:
    """Return path → system → figure; groups (scores, or tracks where those are unknown) are the independent units.

    Args:
        table: from `soundgate.tracks.transfer.outside.listening.NotesListening.table`.
        seed: of the resampling.
        n_bootstrap: resamples.

    Returns:
        ``MEASURES``; ``over_shuffled``, F1 with the source less F1 with other music; and, of a path's systems, F1 with
        the source less that of the path's own copy of the same source, ``over_copy_synthesis``, and less that of the
        true rendering in the target genre, ``over_true_target``; and of every system ``<score>_over_true``, what it
        keeps of the source less what the true rendering keeps (``KEPT``).
    """
    figures: dict[str, dict[str, dict[str, Estimate]]] = {}
    for (path, system), rows in table.groupby(["path", "system"], sort=False):
        values = {name: rows[name].to_numpy() for name in MEASURES}
        values["over_shuffled"] = values["note_f1"] - values["note_f1_other"]
        if path != CONTROL:
            values["over_copy_synthesis"] = values["note_f1"] - _column(table, path, COPY_SYNTHESIS, "note_f1")
            values["over_true_target"] = values["note_f1"] - _column(table, CONTROL, TRUE_TARGET, "note_f1")
        for name in KEPT:
            values[f"{name}_over_true"] = values[name] - _column(table, CONTROL, TRUE_TARGET, name)
        figures.setdefault(path, {})[system] = {
            name: group_mean(
                own, rows["group"].to_numpy(),
                keyed_generator(seed, STAGE, f"bootstrap {path} {system} {name}"), n_bootstrap,
            )
            for name, own in values.items()
        }  # fmt: skip
    return figures


def _column(table: pd.DataFrame, path: str, system: str, name: str) -> np.ndarray:
    """Return a system's figure, clip by clip; clips stand in one order everywhere."""
    return table.loc[(table["path"] == path) & (table["system"] == system), name].to_numpy()


def outside_gates(figures: Figures, tried: Mapping, thresholds: OutsideThresholds) -> dict[str, dict]:
    """Hold each path's transfers against thresholds; gates of a judge that is deaf here cannot be judged.

    Args:
        figures: from `summarise`.
        tried: from `soundgate.tracks.transfer.outside.trying.try_judge`.
        thresholds: of the gates.

    Returns:
        Verdicts by ``<path>_notes_...``, controls: the same path untrained; where that changes nothing, the source. And
        by ``<path>_<score>`` (``KEPT``), controls: the concatenation of the command; and ``<path>_drum_onsets``,
        control: the source as it is.
    """
    verdicts = {}
    for path in (path for path in figures if path != CONTROL):
        own, control = figures[path][TRANSFER], figures[path].get(UNTRAINED, figures[CONTROL][NO_TRANSFER])
        for gate, figure, threshold in (
            ("notes_kept_over_shuffled", "over_shuffled", thresholds.over_shuffled),
            ("notes_kept_near_copy_synthesis", "over_copy_synthesis", -thresholds.lost),
        ):
            number = gated(own[figure], "above", threshold, control[figure].value if figure in control else None)
            verdicts[f"{path}_{gate}"] = judge_gated(number | _deaf(figures[path], figure, tried))
        verdicts |= _wave_gates(path, own, figures[CONTROL], tried, thresholds)
    return verdicts


def _wave_gates(
    path: str, own: Mapping[str, Estimate], controls: Mapping, tried: Mapping, thresholds: OutsideThresholds
) -> dict[str, dict]:
    """Judge what a delivered wave keeps of the source, and whether it has the drums of the true rendering."""
    asked = {name: (f"{name}_over_true", -thresholds.lost, KNN) for name in KEPT}
    asked["drum_onsets"] = ("drum_onsets", thresholds.drums, NO_TRANSFER)
    verdicts = {}
    for name, (figure, threshold, opponent) in asked.items():
        number = gated(own[figure], "above", threshold, controls[opponent][figure].value)
        deaf = {"deaf": tried["asked"]} if tried["deaf"] and name in BY_NOTES else {}
        # Without a true rendering nothing bounds what is kept: no gate.
        if own[figure].n or deaf:
            verdicts[f"{path}_{name}"] = judge_gated(number | deaf)
    return verdicts


def _deaf(own: Mapping[str, Mapping[str, Estimate]], figure: str, tried: Mapping) -> dict[str, str]:
    """Return what the judge does not hear, if it matters to a figure; a copy without notes bounds nothing."""
    if tried["deaf"]:
        return {"deaf": tried["asked"]}
    if figure == "over_copy_synthesis" and not own[COPY_SYNTHESIS]["over_shuffled"].ci_low > 0:
        return {"deaf": "notes of sources in the path's own copies of them"}
    return {}
