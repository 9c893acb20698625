"""The converter against methods without training, by outside judges; and which of them is to be taken."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from soundgate.evaluation.pairs import pair_mean
from soundgate.evaluation.second_opinion import interval_cell
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.audit.systems import CONVERTED
from soundgate.tracks.voice.baselines.methods import BASELINES, KNN, WORLD_OT
from soundgate.tracks.voice.outside.listening import STAGE

# What methods are compared in: by measure its column, and who hears it.
COMPARED = {"similarity": "resemblyzer_to_target", "quality": "dnsmos", "words": "words_kept"}
JUDGES = {"similarity": "resemblyzer", "quality": "dnsmos", "words": "words"}
_UNITS = {"similarity": "similarity to the target", "quality": "DNSMOS", "words": "words kept"}
# What `soundgate convert --method` calls them.
CHOICES = {CONVERTED: "gan", KNN: "knn", WORLD_OT: "world"}
# Share of words that the nearer baseline may lose beside the other.
_WORDS_LOST = 0.1
Differences = Mapping[tuple[str, str], Mapping[str, Estimate]]


def differences(table: pd.DataFrame, seed: int, n_bootstrap: int) -> Differences:
    """Return by how much one method exceeds another on the same pairs; speakers are the independent units.

    Args:
        table: from `soundgate.tracks.voice.outside.listening.OutsideListening.table`.
        seed: of the resampling.
        n_bootstrap: resamples.

    Returns:
        By the two methods, converter and baselines, and by measure (``COMPARED``) the mean difference.
    """
    methods = {
        name: table[table["system"] == name].reset_index(drop=True) for name in (CONVERTED, *BASELINES)
    }  # fmt: skip
    found = {}
    for first, own in methods.items():
        for second, other in methods.items():
            if first == second:
                continue
            assert own[["source", "target"]].equals(other[["source", "target"]])
            found[first, second] = {
                measure: pair_mean(
                    (own[column] - other[column]).to_numpy(), own["source"].to_numpy(), own["target"].to_numpy(),
                    keyed_generator(seed, STAGE, f"bootstrap {first} less {second} {measure}"), n_bootstrap,
                )
                for measure, column in COMPARED.items()
            }  # fmt: skip
    return found


def best_baselines(systems: Mapping[str, Mapping[str, Estimate]]) -> dict[str, str]:
    """Return for each measure (``COMPARED``) the baseline with the highest mean.

    It is chosen on the pairs that it is then compared on, which favours it and so is against the converter.

    Args:
        systems: from `soundgate.tracks.voice.outside.summary.summarise`.
    """
    return {
        measure: max(BASELINES, key=lambda name: _known(systems[name][column].value))
        for measure, column in COMPARED.items()
    }


def best_method(
    systems: Mapping[str, Mapping[str, Estimate]], compared: Differences, tried: Mapping[str, Mapping]
) -> dict[str, str]:
    """Return the method that conversions are best made with, and why.

    The converter, where its similarity to the target exceeds every baseline's by the whole interval, and neither its
    quality nor its words are shown to be worse than any baseline's. Else the one of ``knn`` and ``world_ot`` with the
    higher similarity, unless it is shown to be worse than the other in quality or words, or keeps fewer words by a
    tenth, shown or not: few speakers prove little, and speech that is not understood is of no use. A measure whose
    judge is deaf on this corpus decides nothing; without a judge of similarity ``world_ot`` is taken.

    Args:
        systems: from `soundgate.tracks.voice.outside.summary.summarise`.
        compared: from `differences`.
        tried: from `soundgate.tracks.voice.outside.trying.answers`.

    Returns:
        ``method``: ``gan``, ``knn`` or ``world``, as `soundgate convert` calls them; ``why``: a sentence.
    """
    heard = [measure for measure, judge in JUDGES.items() if not tried[judge]["deaf"]]
    deaf = [_UNITS[measure] for measure in JUDGES if measure not in heard]
    unheard = f" Not judged, as the judges are deaf on this corpus: {', '.join(deaf)}." if deaf else ""
    if "similarity" not in heard:
        return {"method": CHOICES[WORLD_OT], "why": f"No judge hears which method is nearer to the target.{unheard}"}
    against = {name: _against(compared[CONVERTED, name], heard) for name in BASELINES}
    objections = [f"against {name}, {said}" for name, said in against.items() if said]
    if not objections:
        margins = ", ".join(f"{name} {_cell(compared[CONVERTED, name]['similarity'])}" for name in BASELINES)
        why = f"The converter exceeds every baseline in similarity to the target ({margins}), and is worse in nothing."
        return {"method": CHOICES[CONVERTED], "why": why + unheard}
    first, second = sorted(
        (KNN, WORLD_OT), key=lambda name: systems[name][COMPARED["similarity"]].value, reverse=True
    )  # fmt: skip
    worse = _worse(compared[first, second], heard) or _words_lost(compared[first, second], heard)
    taken = second if worse else first
    values = ", ".join(f"{name} {systems[name][COMPARED['similarity']].value:.3f}" for name in (first, second))
    why = f"The converter does not beat every baseline: {'; '.join(objections)}. Similarity to the target: {values}"
    why += f"; {first} is worse in {worse}." if worse else f"; {first} is not worse in anything else."
    return {"method": CHOICES[taken], "why": why + unheard}


def _against(own: Mapping[str, Estimate], heard: list[str]) -> str:
    """Return what speaks against the first of two methods, nothing where it wins."""
    similarity = own["similarity"]
    if not similarity.ci_low > 0:
        return f"similarity differs by {_cell(similarity)}"
    return _worse(own, heard)


def _worse(own: Mapping[str, Estimate], heard: list[str]) -> str:
    """Return in which of quality and words the first of two methods is shown to be worse, with figures."""
    worse = [measure for measure in ("quality", "words") if measure in heard and own[measure].ci_high < 0]
    return " and ".join(f"{_UNITS[measure]}, by {_cell(own[measure])}" for measure in worse)


def _words_lost(own: Mapping[str, Estimate], heard: list[str]) -> str:
    """Return by how much the first of two baselines keeps fewer words, nothing where it is little."""
    lost = "words" in heard and own["words"].value < -_WORDS_LOST
    return f"{_UNITS['words']}, by {_cell(own['words'])}" if lost else ""


def _cell(own: Estimate) -> str:
    return interval_cell(own.as_dict())


def _known(value: float) -> float:
    return value if value == value else float("-inf")
