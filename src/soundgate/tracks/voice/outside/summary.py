"""Figures by the outside judges with intervals, and what they are held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from soundgate.evaluation.pairs import pair_mean, pair_share
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.audit.controlled import beside, best_of, controlled, less
from soundgate.tracks.voice.audit.systems import CONVERTED, IDENTITY, PITCH_SHIFT, RANDOM, TARGET
from soundgate.tracks.voice.outside.listening import ASKED, SIMILARITIES, STAGE
from soundgate.tracks.voice.outside.methods import COMPARED, JUDGES, Differences, best_baselines
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
    systems: Figures,
    over: Mapping[str, Estimate],
    compared: Differences,
    tried: Mapping[str, Mapping],
    thresholds: OutsideThresholds,
) -> dict[str, dict]:
    """Hold conversions of unseen speakers against thresholds; a gate whose judge is deaf here cannot be judged.

    Args:
        systems: from `summarise`.
        over: likewise.
        compared: from `soundgate.tracks.voice.outside.methods.differences`.
        tried: from `soundgate.tracks.voice.outside.trying.answers`.
        thresholds: of the gates.
    """
    figures = {name: {m: own.as_dict() for m, own in measures.items()} for name, measures in systems.items()}
    own = systems[CONVERTED]

    def above(measure: str, *others: str) -> dict:
        return beside(figures, measure, "above", *others)

    def over_control(measure: str, control: str, *others: str) -> dict:
        values = {name: own[measure]["value"] for name, own in figures.items() if measure in own}
        differences = {name: less(value, values[control]) for name, value in values.items()}
        return {name: differences[name] for name in others} | best_of(differences, "above")

    margin, to_target = thresholds.margin, "resemblyzer_to_target"
    gates = {
        "resemblyzer_closer_to_target": (
            own["resemblyzer_closer"], thresholds.closer_to_target, above("resemblyzer_closer", IDENTITY),
        ),
        "resemblyzer_follows_target": (own["resemblyzer_follows"], margin, above("resemblyzer_follows", IDENTITY)),
        "resemblyzer_over_pitch_shift": (
            over["resemblyzer_over_pitch_shift"], margin, over_control(to_target, PITCH_SHIFT, RANDOM),
        ),
        "dnsmos_over_random": (over["dnsmos_over_random"], thresholds.dnsmos_gain, over_control("dnsmos", RANDOM)),
        "dnsmos_over_source": (
            over["dnsmos_over_source"], -thresholds.dnsmos_loss, over_control("dnsmos", IDENTITY, RANDOM),
        ),
        "crepe_f0_correlation": (
            own["crepe_f0_correlation"], thresholds.f0_correlation, above("crepe_f0_correlation", TARGET),
        ),
        "words_over_shuffled": (own["words_margin"], margin, above("words_margin", TARGET)),
    }  # fmt: skip
    verdicts = {name: _judged(*gate, tried[name.partition("_")[0]]) for name, gate in gates.items()}
    for measure, best in best_baselines(systems).items():
        shown = over_control(COMPARED[measure], best, RANDOM)
        verdicts[f"over_best_baseline_{measure}"] = _judged(
            compared[CONVERTED, best][measure], thresholds.over_baseline, shown, tried[JUDGES[measure]]
        )
    return verdicts


def _judged(estimate: Estimate, threshold: float, controls: Mapping[str, float | None], judge: Mapping) -> dict:
    return controlled(
        estimate.as_dict(), "above", threshold, controls, f"{judge['asked']}, of which there is none here",
        deaf=judge["asked"] if judge["deaf"] else None,
    )  # fmt: skip
