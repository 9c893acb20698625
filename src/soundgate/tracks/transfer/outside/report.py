"""The judge of notes for people: verdicts, whether it hears anything, and where it and our own disagree."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from soundgate.evaluation.second_opinion import above, agreement, interval_cell
from soundgate.evaluation.tables import gate_rows, gates_overview, markdown_table, number_cell, rounded
from soundgate.tracks.transfer.outside.systems import (
    CONTROL,
    COPY_SYNTHESIS,
    EQ,
    KNN,
    NO_TRANSFER,
    TRANSFER,
    TRUE_TARGET,
    UNTRAINED,
    VOCODER,
)
from soundgate.tracks.transfer.outside.waves import SCORES

SYSTEMS = {
    TRANSFER: "transferred",
    COPY_SYNTHESIS: "own style through the model (copy-synthesis)",
    UNTRAINED: "transferred by the untrained model",
    NO_TRANSFER: "the source itself",
    TRUE_TARGET: "the true rendering in the target genre",
    VOCODER: "the source's spectrogram by Griffin and Lim",
    EQ: "by `soundgate transfer --path eq`",
    KNN: "by `soundgate transfer --path knn`",
}
# What the audit calls the same.
_KINDS = {COPY_SYNTHESIS: "identity"}


def report_markdown(found: Mapping, gates: dict[str, dict], audit: Mapping, lost: float) -> str:
    """Return the report.

    Args:
        found: ``judge``, ``systems`` and ``exemplars``.
        gates: verdicts by name.
        audit: what the judges trained here find, from stage transfer-audit.
        lost: what a transfer may lose against copy-synthesis, in either judge's unit.
    """
    tried = found["judge"]
    answer = {
        "asked": tried["asked"], "answer": interval_cell(tried), "chance": tried["chance"],
        "twin": number_cell(tried["twin"]), "": "deaf" if tried["deaf"] else "hears",
    }  # fmt: skip
    parts = ["# Style transfer: outside judge of notes", "", *gates_overview(gates), "", "## Gates", ""]
    parts += [markdown_table(gate_rows(gates)), "", "## What the judge hears on this corpus", ""]
    parts += ["Basic Pitch; the twin is the same network with its weights shuffled.", ""]
    parts += [markdown_table(rounded(pd.DataFrame([answer]).astype(object))), "", "## F1 of notes, and what bounds it"]
    parts += ["", "`mps`: the audit's held-out judge of content, of all its transfers.", ""]
    parts += [markdown_table(_systems(found["systems"], audit["kinds"])), "", "## What the delivered wave keeps", ""]
    parts += ["Of the source: recall of its notes, harmony, bass, rhythm. `drum_onsets` is held against the true"]
    parts += ["rendering, or against the source where none is known. Each row is bounded by the true rendering's.", ""]
    parts += [markdown_table(_waves(found["systems"])), "", "## Whether an exemplar matters", ""]
    parts += ["Distances of spectrograms in dB: outputs by two exemplars of one style, by the noise alone, and real"]
    parts += ["recordings of one score and style by different sources.", ""]
    parts += [markdown_table(_exemplars(found["exemplars"])), "", "## Beside the judge trained here", ""]
    parts += [f"As like: {lost:g} less at most, in each judge's own unit, cosine or F1.", ""]
    parts += [markdown_table(_beside(found["systems"], audit["kinds"], lost)), ""]
    return "\n".join(parts)


def _systems(systems: Mapping, kinds: Mapping) -> pd.DataFrame:
    rows = []
    for path, own in systems.items():
        for system, figures in own.items():
            ours = kinds.get(path, {}).get(_KINDS.get(system, system), {})
            rows.append(
                {"path": path, "what": SYSTEMS[system]}
                | {name: interval_cell(figures[name]) for name in ("note_f1", "note_f1_other")}
                | {
                    name: number_cell(ours.get(f"{name}_held_out", {}).get("value"))
                    for name in ("mps", "mps_mismatched")
                }
            )
    return pd.DataFrame(rows)


def _waves(systems: Mapping) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"path": path, "what": SYSTEMS[system]} | {name: interval_cell(figures[name]) for name in SCORES}
            for path, own in systems.items()
            for system, figures in own.items()
        ]
    )


def _exemplars(exemplars: Mapping) -> pd.DataFrame:
    rows = [{"path": path} | {name: interval_cell(one) for name, one in own.items()} for path, own in exemplars.items()]
    return pd.DataFrame(rows)


def _beside(systems: Mapping, kinds: Mapping, lost: float) -> pd.DataFrame:
    """Return each path's questions, both answers, and whether one proves what the other denies.

    Each judge's answer is held against what that judge says of the bound, in its own unit.
    """
    rows = []
    for path in (path for path in systems if path != CONTROL):
        ours, notes = kinds[path][TRANSFER], systems[path][TRANSFER]
        own, copies = ours["mps_held_out"], kinds[path]["identity"]["mps_held_out"]
        truth = kinds[CONTROL].get(TRUE_TARGET, {}).get("mps_held_out", {"value": None})
        for question, bound, figure, threshold in (
            ("more like the source than like other music", ours["mps_mismatched_held_out"], "over_shuffled", 0.0),
            ("as like the source as copy-synthesis", copies, "over_copy_synthesis", -lost),
            ("as like the source as the true rendering", truth, "over_true_target", -lost),
        ):
            if bound["value"] is None or notes[figure]["value"] is None:
                continue
            said = agreement(above(own, bound["value"] + threshold), above(notes[figure], threshold))
            rows.append(
                {
                    "path": path, "question": question,
                    "trained here": f"{interval_cell(own)}, bound {number_cell(bound['value'])}",
                    "outside, beyond the bound": interval_cell(notes[figure]), "": said,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)
