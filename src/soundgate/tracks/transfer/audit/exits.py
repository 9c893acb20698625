"""The exit gates of the track: those of Labs 1 and 2, of the style bank, and of every path of Lab 3."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from pydantic import Field

from soundgate.evaluation.gates import judge_gated, verdict
from soundgate.evaluation.verdicts import overall
from soundgate.runtime.config import Section
from soundgate.tracks.transfer.audit.leakage import SEQUENCE, TOLERATED

# Of two gates on one quantity, each is what bounds the other: cosines of the same music, cosines of different music.
EACH_OTHER = {"same_content": "mismatched_content", "mismatched_content": "same_content"}


class Thresholds(Section):
    """What Lab 3 has to reach, as the held-out judges score it.

    Args:
        mps: content kept: cosine between source's and output's content, at least.
        mps_mismatched: the same between outputs and other music, at most.
        sf: probability of the target genre, at least.
        copied: share of outputs that copy a training item, at most.
        gap: how much better sources are told from features than genres are, both less their majority rates, at most.
    """

    mps: float = Field(ge=-1, le=1)
    mps_mismatched: float = Field(ge=-1, le=1)
    sf: float = Field(ge=0, le=1)
    copied: float = Field(ge=0, le=1)
    gap: float


def stage_gates(measured: Mapping[str, dict]) -> dict[str, dict]:
    """Judge what the stages before have measured.

    Args:
        measured: prefix (``lab1``) to a metrics file's content, whose ``gates`` hold values and thresholds.

    Returns:
        Verdicts by ``prefix_name``.
    """
    verdicts = {}
    for prefix, metrics in measured.items():
        gates = metrics["gates"]
        for name, gate in gates.items():
            other = {"control": gates.get(EACH_OTHER.get(name), {}).get("value")}
            verdicts[f"{prefix}_{name}"] = judge_gated(other | gate)
    return verdicts


def path_gates(path: str, kinds: dict, pairs: pd.DataFrame, copied: float, thresholds: Thresholds) -> dict[str, dict]:
    """Judge one path of Lab 3 by the held-out judges.

    Args:
        path: its name.
        kinds: path → kind → score → estimate, controls under ``control``, see
            `soundgate.tracks.transfer.audit.summary.by_kind`.
        pairs: the path's rows of `soundgate.tracks.transfer.audit.summary.by_pair`.
        copied: share of outputs that copy.
        thresholds: see `Thresholds`.

    Returns:
        Verdicts. ``truth_closer`` counts pairs of genres for which it is not shown that transfers are nearer to the
        truth than their sources are; there is none where no truth is known. Controls: MPS of real music of the target
        genre that plays something else; of mismatched music, MPS itself, which a judge that hears nothing has for
        both; SF and ``truth_closer`` of the sources as they are.
    """
    transfer, controls = kinds[path]["transfer"], kinds["control"]

    def estimated(name: str, side: str, threshold: float, control: dict) -> dict:
        value, interval = transfer[name], (transfer[name]["ci_low"], transfer[name]["ci_high"])
        return verdict(value["value"], side, threshold, interval, value["n"], control.get("value"))

    elsewhere = controls.get("real_target", {}).get("mps_held_out", {})
    untouched = controls["no_transfer"]["sf_held_out"]
    mismatched = estimated("mps_mismatched_held_out", "below", thresholds.mps_mismatched, transfer["mps_held_out"])
    verdicts = {
        f"{path}_mps": estimated("mps_held_out", "above", thresholds.mps, elsewhere),
        f"{path}_mps_mismatched": mismatched,
        f"{path}_sf": estimated("sf_held_out", "above", thresholds.sf, untouched),
        f"{path}_copied": verdict(copied, "below", thresholds.copied),
    }
    known = pairs[pairs["closer_db"].notna()]
    if len(known):
        shown = known["closer_low_db"] > 0
        verdicts[f"{path}_truth_closer"] = verdict(int((~shown).sum()), "below", 0.0, control=len(known))
    return verdicts


def leakage_gates(audit: dict, thresholds: Thresholds) -> dict[str, dict]:
    """Judge the leakage audit: one gate for each feature set that a style is steered by and whose gap is known.

    The control is the gap of probes for labels that were exchanged between tracks.
    """
    verdicts = {}
    for name, features in audit["features"].items():
        gap = features["gap"]
        if gap["answerable"]:
            interval = (gap["ci_low"], gap["ci_high"])
            control = _permuted_gap(features)
            verdicts[f"leakage_{name}"] = verdict(gap["value"], "below", thresholds.gap, interval, gap["n"], control)
    return verdicts


def content_gates(audit: dict) -> dict[str, dict]:
    """Judge whether what a decoder is fed as content names the genre.

    Returns:
        ``leakage_sequence_genre``, where it can be asked: the accuracy of a probe above its majority, at most what Lab
        1's own gate tolerates of sources. Control: the same for labels that were exchanged between tracks.
    """
    genre = audit["features"][SEQUENCE]["genre"]
    if not genre["answerable"]:
        return {}
    accuracy, majority = genre["accuracy"], genre["majority"]
    interval = tuple(None if end is None else end - majority for end in (accuracy["ci_low"], accuracy["ci_high"]))
    control = None if genre["permuted"] is None else genre["permuted"] - majority
    above = accuracy["value"] - majority
    return {"leakage_sequence_genre": verdict(above, "below", TOLERATED, interval, accuracy["n"], control)}


def _permuted_gap(features: dict) -> float | None:
    source, genre = features["source"], features["genre"]
    if source["permuted"] is None or genre["permuted"] is None:
        return None
    return (source["permuted"] - source["majority"]) - (genre["permuted"] - genre["majority"])


def exit_report(gates: dict[str, dict], kinds: dict, paths: list[str]) -> dict:
    """Return the seed's ``lab3_exit_audit.json``: each path's numbers by both scorers, thresholds and verdicts."""
    result: dict = {"paths": {}, "verdict": overall(gate["verdict"] for gate in gates.values())}
    for path in paths:
        transfer = kinds[path]["transfer"]
        scores = {
            name: {
                "value": transfer[f"{name.lower()}_held_out"]["value"],
                "by_training_judge": transfer[f"{name.lower()}_lab"]["value"],
                "threshold": gates[f"{path}_{name.lower()}"]["threshold"],
                "verdict": gates[f"{path}_{name.lower()}"]["verdict"],
            }
            for name in ("MPS", "SF")
        }
        for score in scores.values():
            score["overfit_gap"] = _difference(score["by_training_judge"], score["value"])
        own = {name: gate for name, gate in gates.items() if name.startswith(f"{path}_")}
        result["paths"][path] = scores | {
            "spectral_continuity": transfer["continuity"]["value"],
            "gates": own,
            "verdict": overall(gate["verdict"] for gate in own.values()),
        }
    return result


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second
