"""Gates beside the values of controls: what untrained weights and methods without training reach as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pandas as pd

from soundgate.evaluation.gates import judge_gated
from soundgate.evaluation.tables import gate_cell, number_cell, verdict_cell
from soundgate.evaluation.verdicts import PASS, decide
from soundgate.tracks.voice.audit.systems import RANDOM
from soundgate.tracks.voice.baselines.methods import BASELINES

Side = Literal["above", "below"]


def controlled(
    estimate: Mapping,
    side: Side,
    threshold: float,
    controls: Mapping[str, float | None],
    needs: str,
    deaf: str | None = None,
) -> dict:
    """Hold an estimate against a threshold, and say which controls keep to it too.

    Args:
        estimate: ``value`` and, where known, ``ci_low``, ``ci_high``, ``n``.
        side: ``above``: passes at or above the threshold; ``below``: at or below.
        threshold: of the gate.
        controls: by system its value of the same measure; the first is shown as the gate's ``control``.
        needs: what the measure needs, as the reason why a gate without a value cannot be judged.
        deaf: what its judge does not hear here, for which reason it cannot be judged either.

    Returns:
        A verdict, see `soundgate.evaluation.gates.judge_gated`, and ``controls`` and ``passed_by``: the controls whose
        value is on the right side of the threshold.
    """
    known = {name: value for name, value in controls.items() if value is not None}
    number = dict(estimate) | {"side": side, "threshold": threshold}
    number |= {"control": next(iter(known.values()))} if known else {}
    if deaf is None and estimate["value"] is None:
        deaf = needs
    verdict = judge_gated(number | ({} if deaf is None else {"deaf": deaf}))
    passed = [name for name, value in known.items() if decide(value, side, threshold) == PASS]
    return verdict | {"controls": known, "passed_by": passed}


def beside(systems: Mapping[str, Mapping[str, Mapping]], measure: str, side: Side, *others: str) -> dict:
    """Return the values of a measure that a gate is shown beside, by system.

    Args:
        systems: figures by system and measure; some systems may lack some measures.
        measure: of the gate.
        side: of the gate, which says what is best.
        others: systems to show first.

    Returns:
        Those of ``others``, of untrained weights and of the baseline that is best in this measure.
    """
    values = {name: own[measure]["value"] for name, own in systems.items() if measure in own}
    return {name: values.get(name) for name in (*others, RANDOM)} | best_of(values, side)


def best_of(values: Mapping[str, float | None], side: Side) -> dict[str, float]:
    """Return the baseline with the best value, and that value; nothing where none has one."""
    known = {name: values[name] for name in BASELINES if values.get(name) is not None}
    if not known:
        return {}
    name = (max if side == "above" else min)(known, key=known.get)
    return {name: known[name]}


def less(value: float | None, other: float | None) -> float | None:
    """Return a difference; None where either is missing."""
    return None if value is None or other is None else value - other


def controlled_rows(gates: Mapping[str, dict]) -> pd.DataFrame:
    """Return a row for each gate: what was measured, controls, which of them pass too, and the verdict."""
    rows = []
    for name, gate in gates.items():
        controls = gate.get("controls", {})
        best = [f"{number_cell(controls[own])} ({own})" for own in BASELINES if own in controls]
        rows.append(
            {
                "gate": f"`{name}`",
                "measured": gate_cell(gate),
                "control": number_cell(gate["control"]) if "control" in gate else "",
                "untrained weights": number_cell(controls[RANDOM]) if RANDOM in controls else "",
                "best baseline": ", ".join(best),
                "controls that pass too": ", ".join(gate.get("passed_by", [])),
                "": verdict_cell(gate),
            }
        )
    return pd.DataFrame(rows)
