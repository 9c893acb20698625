"""Figures by the outside judges with intervals, and what they are held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from soundgate.evaluation.gates import gated, judge_gated
from soundgate.evaluation.pairs import pair_mean, pair_share
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.audit.systems import CONVERTED, IDENTITY, PITCH_SHIFT, RANDOM, TARGET
from soundgate.tracks.voice.outside.listening import ASKED, SIMILARITIES, STAGE
from soundgate.tracks.voice.outside.settings import OutsideThresholds

MEASURES = (*SIMILARITIES, "dnsmos", "crepe_f0_correlation", "words_kept", "words_shuffled")
Figures = Mapping[str, Mapping[str, Estimate]]


def summarise(table: pd.DataFrame, seed: int, n_bootstrap: int) -> tuple[Figures, Mapping[str, Estimate]]:
    """Return every figure; speakers are the independent units.

    Args:
        table: from `soundgate.tracks.voice.outside.listening.OutsideListening.table`.
        seed: of the resampling.
        n_bootstrap: resamples.

    Returns:
        By system ``MEASURES``, ``resemblyzer_closer`` (share of pairs closer to the target than to the source),
        ``resemblyzer_follows`` (similarity to the target less that to uninvolved speakers) and ``words_margin``; and
        by control how far conversions of the same pairs lie above it: ``resemblyzer_over_pitch_shift``,
        ``dnsmos_over_random``, ``dnsmos_over_source``.
    """

    def estimate(how: Callable, values: pd.Series, rows: pd.DataFrame, name: str) -> Estimate:
        generator = keyed_generator(seed, STAGE, f"bootstrap {name}")
        return how(values.to_numpy(), rows["source"].to_numpy(), rows["target"].to_numpy(), generator, n_bootstrap)

    systems = {}
    for name, rows in table.groupby("system", sort=False):
        to_target, to_source, to_others = (rows[measure] for measure in SIMILARITIES)
        asked = [m for m in MEASURES if name in ASKED.get(m.split("_")[0] if m.startswith("words") else m, (name,))]
        systems[name] = {measure: estimate(pair_mean, rows[measure], rows, f"{name} {measure}") for measure in asked}
        systems[name] |= {
            "resemblyzer_closer": estimate(pair_share, to_target > to_source, rows, f"{name} closer"),
            "resemblyzer_follows": estimate(pair_mean, to_target - to_others, rows, f"{name} follows"),
        }
        if name in ASKED["words"]:
            margin = rows["words_kept"] - rows["words_shuffled"]
            systems[name]["words_margin"] = estimate(pair_mean, margin, rows, f"{name} words margin")
    by_system = {name: rows.reset_index(drop=True) for name, rows in table.groupby("system", sort=False)}
    own = by_system[CONVERTED]
    over = {
        name: estimate(pair_mean, own[measure] - by_system[control][measure], own, name)
        for name, measure, control in (
            ("resemblyzer_over_pitch_shift", "resemblyzer_to_target", PITCH_SHIFT),
            ("dnsmos_over_random", "dnsmos", RANDOM),
            ("dnsmos_over_source", "dnsmos", IDENTITY),
        )
    }
    return systems, over


def outside_gates(
    systems: Figures, over: Mapping[str, Estimate], tried: Mapping[str, Mapping], thresholds: OutsideThresholds
) -> dict[str, dict]:
    """Hold conversions of unseen speakers against thresholds; a gate whose judge is deaf here cannot be judged.

    Args:
        systems: from `summarise`.
        over: likewise.
        tried: from `soundgate.tracks.voice.outside.trying.try_judges`.
        thresholds: of the gates.
    """
    own, identity, target = (systems[name] for name in (CONVERTED, IDENTITY, TARGET))
    margin = thresholds.margin
    gates = {
        "resemblyzer_closer_to_target": (
            own["resemblyzer_closer"], thresholds.closer_to_target, identity["resemblyzer_closer"],
        ),
        "resemblyzer_follows_target": (own["resemblyzer_follows"], margin, identity["resemblyzer_follows"]),
        "resemblyzer_over_pitch_shift": (over["resemblyzer_over_pitch_shift"], margin, None),
        "dnsmos_over_random": (over["dnsmos_over_random"], thresholds.dnsmos_gain, None),
        "dnsmos_over_source": (over["dnsmos_over_source"], -thresholds.dnsmos_loss, None),
        "crepe_f0_correlation": (
            own["crepe_f0_correlation"], thresholds.f0_correlation, target["crepe_f0_correlation"],
        ),
        "words_over_shuffled": (own["words_margin"], margin, target["words_margin"]),
    }  # fmt: skip
    verdicts = {}
    for name, (estimate, threshold, control) in gates.items():
        judge = tried[name.partition("_")[0]]
        number = gated(estimate, "above", threshold, None if control is None else control.value)
        verdicts[name] = judge_gated(number | ({"deaf": judge["asked"]} if judge["deaf"] else {}))
    return verdicts
