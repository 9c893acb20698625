"""The audit's figures from tables that are given: every mean by its definition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from soundgate.tracks.voice.audit.hearing import MEASURES
from soundgate.tracks.voice.audit.reconstruction import FIGURES
from soundgate.tracks.voice.audit.run import Audit
from soundgate.tracks.voice.audit.summary import summarise

BASELINES = ("world_f0", "world_env", "world_ot", "knn")
SYSTEMS = ("converted", "identity", "pitch_shift", "copy_synthesis", "random_weights", *BASELINES)
METHODS = ("griffin_lim", "copy_synthesis", "random_weights")
PAIRS = [(source, target) for source in "abcd" for target in "abcd" if source != target]


@pytest.fixture(scope="module")
def audit() -> Audit:
    generator = np.random.default_rng(0)
    rows = [
        {"split": split, "system": system, "source": source, "target": target, "utterance": f"{source}{take}"}
        | dict(zip(MEASURES, generator.normal(size=len(MEASURES)), strict=True))
        for split in ("test", "validation")
        for system in SYSTEMS
        for take in range(2)
        for source, target in PAIRS
    ]
    heard = [
        {"row": row, "source": "abcd"[row % 4], "method": method}
        | dict(zip(FIGURES, generator.random(len(FIGURES)), strict=True))
        for row in range(12)
        for method in METHODS
    ]
    pairs = pd.DataFrame(rows).sample(frac=1, random_state=0)
    return Audit(pairs, pd.DataFrame(heard).sample(frac=1, random_state=0))


@pytest.fixture(scope="module")
def found(audit) -> dict:
    return summarise(audit, 0, 100)


def test_every_split_and_system_has_its_own_figures(audit, found):
    for split in ("test", "validation"):
        assert set(found["systems"][split]) == set(SYSTEMS)
        for system, own in found["systems"][split].items():
            rows = audit.pairs[(audit.pairs["split"] == split) & (audit.pairs["system"] == system)]
            expected = {measure: rows[measure].mean() for measure in MEASURES} | {
                "closer": (rows["similarity_gap"] > 0).mean(),
                "encoder_closer": (rows["encoder_similarity_gap"] > 0).mean(),
                "follows": (rows["similarity_to_target"] - rows["similarity_to_others"]).mean(),
                "content_margin": (rows["content_agreement"] - rows["content_shuffled"]).mean(),
            }
            assert {name: figure["value"] for name, figure in own.items()} == pytest.approx(expected)
            assert {figure["n"] for figure in own.values()} == {4}


def test_conversions_of_unseen_speakers_are_compared_with_each_control(audit, found):
    unseen = audit.pairs[audit.pairs["split"] == "test"]
    means = unseen.groupby("system")["similarity_to_target"].mean()
    assert set(found["over"]) == {"pitch_shift", "copy_synthesis", "random_weights", *BASELINES}
    for name, figure in found["over"].items():
        assert figure["value"] == pytest.approx(means["converted"] - means[name])
    own = unseen[unseen["system"] == "converted"]
    gap = own["encoder_similarity_gap"].mean() - own["similarity_gap"].mean()
    assert found["encoder_over_judge"]["value"] == pytest.approx(gap)


def test_reconstructions_are_compared_utterance_by_utterance(audit, found):
    table = audit.reconstruction
    for method in METHODS:
        rows = table[table["method"] == method]
        for name in FIGURES:
            assert found["reconstruction"][method][name]["value"] == pytest.approx(rows[name].mean())
    means = table.groupby("method")["mel_db"].mean()
    over = found["reconstruction_over_random"]
    assert (over["value"], over["n"]) == (pytest.approx(means["random_weights"] - means["copy_synthesis"]), 4)
