"""Ratings with intervals, whether the judge hears noise on this corpus, and the gates."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from soundgate.evaluation.gates import gated, judge_gated
from soundgate.evaluation.groups import group_mean
from soundgate.evaluation.hearing import answer
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.rooms.outside.listening import MEASURES
from soundgate.tracks.rooms.outside.recordings import CLEAN, NOISY, STAGE
from soundgate.tracks.rooms.outside.settings import OutsideSettings, OutsideThresholds
from soundgate.tracks.rooms.outside.systems import (
    GATED,
    ORIGINAL,
    STERILISED,
    SYSTEMS,
    TRIMMED,
    TRUTH,
    WITH_NOISE,
)

OVERALL = next(iter(MEASURES))
# What each kind of recording is compared by: the first system's rating less the second's.
COMPARED = {
    NOISY: (
        (STERILISED, ORIGINAL), (TRIMMED, ORIGINAL), (STERILISED, TRIMMED), (GATED, TRIMMED), (STERILISED, GATED),
        (TRUTH, TRIMMED), (STERILISED, TRUTH),
    ),
    CLEAN: ((STERILISED, ORIGINAL), (TRIMMED, ORIGINAL), (STERILISED, TRIMMED), (TRIMMED, WITH_NOISE)),
}  # fmt: skip
Figures = Mapping[str, Mapping[str, Mapping[str, Estimate]]]


def summarise(table: pd.DataFrame, settings: OutsideSettings, seed: int) -> tuple[Figures, Figures]:
    """Return every figure; speakers are the independent units.

    Args:
        table: from `soundgate.tracks.rooms.outside.listening.rate_recordings`.
        settings: resamples.
        seed: of the resampling.

    Returns:
        By kind of recording and measure the mean rating of each system of ``SYSTEMS``; and the mean differences of
        ``COMPARED``, named ``<first>_over_<second>``. A comparison has the recordings that both systems have.
    """

    def estimate(values: pd.Series, rows: pd.DataFrame, name: str) -> Estimate:
        generator = keyed_generator(seed, STAGE, f"bootstrap {name}")
        return group_mean(values.to_numpy(float), rows["speaker_id"].to_numpy(), generator, settings.n_bootstrap)

    systems, over = {}, {}
    for kind, names in SYSTEMS.items():
        systems[kind], over[kind] = {}, {}
        own = table[table["kind"] == kind]
        for measure in MEASURES:
            wide = own.pivot(index=["source", "utt_id", "speaker_id"], columns="system", values=measure)
            wide = wide.reindex(columns=names).reset_index()
            systems[kind][measure] = {name: estimate(wide[name], wide, f"{kind} {measure} {name}") for name in names}
            over[kind][measure] = {
                f"{first}_over_{second}": estimate(
                    wide[first] - wide[second], wide, f"{kind} {measure} {first} {second}"
                )
                for first, second in COMPARED[kind]
            }
    return systems, over


def numbers(figures: Figures) -> dict:
    """Return figures for JSON; see `Estimate.as_dict`."""
    return {
        kind: {
            measure: {name: estimate.as_dict() for name, estimate in own.items()} for measure, own in measures.items()
        }
        for kind, measures in figures.items()
    }


def hearing(over: Figures, noise_db: float) -> dict:
    """Say whether the judge hears noise on this corpus: clean recordings are rated above themselves with noise.

    Returns:
        See `answer`. There is no twin: a rating that knows nothing is not moved by noise in one direction.
    """
    noticed = over[CLEAN][OVERALL][f"{TRIMMED}_over_{WITH_NOISE}"]
    asked = f"points by which clean recordings are rated above themselves with white noise at {noise_db:g} dB"
    return answer(asked, noticed)


def outside_gates(over: Figures, heard: Mapping, thresholds: OutsideThresholds) -> dict[str, dict]:
    """Hold sterilised recordings against their originals; where the judge is deaf nothing can be judged.

    The control is what trimming and loudness do alone.

    Args:
        over: from `summarise`.
        heard: from `hearing`.
        thresholds: of the gates.
    """
    gates = {
        "dnsmos_sterilised_over_original": (over[NOISY][OVERALL], thresholds.gain),
        "dnsmos_clean_kept": (over[CLEAN][OVERALL], -thresholds.loss),
    }
    verdicts = {}
    for name, (own, threshold) in gates.items():
        control = own[f"{TRIMMED}_over_{ORIGINAL}"].as_dict()["value"]
        number = gated(own[f"{STERILISED}_over_{ORIGINAL}"], "above", threshold, control)
        deaf = heard["asked"] if heard["deaf"] else _nothing_rated(own)
        verdicts[name] = judge_gated(number | ({"deaf": deaf} if deaf else {}))
    return verdicts


def _nothing_rated(own: Mapping[str, Estimate]) -> str:
    """Return what cannot be heard where there is no recording of a kind, else nothing."""
    return "" if own[f"{STERILISED}_over_{ORIGINAL}"].n else "recordings: none of this kind that it can rate"
