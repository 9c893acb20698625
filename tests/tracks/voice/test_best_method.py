"""Which conversion method is taken, from scores by pair that are given."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from soundgate.evaluation.statistics import Estimate
from soundgate.tracks.voice.outside.methods import COMPARED, best_baselines, best_method, differences

SPEAKERS = "abcdefgh"
MEANS = {
    "converted": (0.70, 2.9, 0.60), "world_f0": (0.50, 2.9, 0.60), "world_env": (0.50, 2.8, 0.58),
    "world_ot": (0.60, 2.8, 0.58), "knn": (0.65, 2.7, 0.55),
}  # fmt: skip
HEARS = {name: {"deaf": False} for name in ("resemblyzer", "dnsmos", "words")}


def scores(**changed):
    """Return similarity, quality and words of every pair, around means by method."""
    generator, tables = np.random.default_rng(0), []
    pairs = list(permutations(SPEAKERS, 2))
    common = generator.normal(0, 0.1, (len(pairs), 3))
    for name, means in (MEANS | changed).items():
        values = common + generator.normal(0, 0.01, common.shape)
        values += np.array(means) - values.mean(axis=0)
        table = pd.DataFrame(values, columns=list(COMPARED.values()))
        tables.append(table.assign(source=[a for a, _ in pairs], target=[b for _, b in pairs], system=name))
    return pd.concat(tables, ignore_index=True)


def chosen(tried=HEARS, **changed):
    table = scores(**changed)
    systems = {
        name: {column: Estimate(own[column].mean(), 0, 1, 8) for column in COMPARED.values()}
        for name, own in table.groupby("system")
    }
    return best_method(systems, differences(table, 0, 200), tried), best_baselines(systems)


def test_differences_are_of_the_same_pairs_and_both_ways():
    found = differences(scores(), 0, 200)
    own = found["converted", "knn"]["similarity"]
    assert own.value == pytest.approx(0.05, abs=1e-9) and own.ci_high - own.ci_low < 0.03 and own.n == len(SPEAKERS)
    assert found["knn", "converted"]["similarity"].value == pytest.approx(-own.value)


def test_the_best_baseline_is_that_of_the_measure():
    assert chosen()[1] == {"similarity": "knn", "quality": "world_f0", "words": "world_f0"}


@pytest.mark.parametrize(
    ("changed", "method", "said"),
    [
        ({}, "gan", "exceeds every baseline in similarity"),
        # Nearer than one baseline, but not than the other.
        ({"converted": (0.62, 2.9, 0.6)}, "knn", "against knn, similarity differs by -0.030"),
        # As near as the best.
        ({"converted": (0.65, 2.9, 0.6)}, "knn", "against knn, similarity differs by"),
        # Nearest, and unintelligible.
        ({"converted": (0.9, 2.9, 0.1)}, "knn", "words kept, by -0.5"),
        ({"converted": (0.9, 2.0, 0.6)}, "knn", "DNSMOS, by -0.9"),
        # The nearer baseline is worse than the other.
        ({"converted": (0.5, 2.9, 0.6), "knn": (0.65, 2.0, 0.58)}, "world", "knn is worse in DNSMOS, by -0.8"),
        ({"converted": (0.5, 2.9, 0.6), "world_ot": (0.66, 2.8, 0.58)}, "world", "world_ot 0.660"),
    ],
)
def test_the_converter_has_to_beat_every_baseline_and_else_the_nearest_baseline_is_taken(changed, method, said):
    given = {"knn": (0.65, 2.8, 0.58)} | changed
    found, _ = chosen(**given)
    assert found["method"] == method and said in found["why"], found


def test_a_baseline_that_seems_to_lose_words_is_not_taken_though_it_is_not_proven():
    table = scores(converted=(0.5, 2.9, 0.6), knn=(0.65, 2.8, 0.40))
    systems = {
        name: {column: Estimate(own[column].mean(), 0, 1, 8) for column in COMPARED.values()}
        for name, own in table.groupby("system")
    }
    compared = differences(table, 0, 200)
    lost = compared["knn", "world_ot"]["words"]
    unproven = {"words": replace(lost, ci_low=lost.value - 1, ci_high=lost.value + 1)}
    compared |= {("knn", "world_ot"): compared["knn", "world_ot"] | unproven}
    found = best_method(systems, compared, HEARS)
    assert found["method"] == "world" and "knn is worse in words kept, by -0.18" in found["why"]


def test_a_deaf_judge_decides_nothing_and_is_named():
    words_lost = {"converted": (0.9, 2.9, 0.1)}
    found, _ = chosen(HEARS | {"words": {"deaf": True}}, **words_lost)
    assert found["method"] == "gan" and "deaf on this corpus: words kept" in found["why"]
    found, _ = chosen(HEARS | {"resemblyzer": {"deaf": True}}, **words_lost)
    assert found["method"] == "world" and "No judge hears" in found["why"]
