"""A path has to beat what needs no training: the baselines do what they say, and cheats do not get past them."""

import numpy as np
import pandas as pd
import pytest
import torch

from soundgate.tracks.transfer.audit.baselines import BASELINES, KIND, baseline_outputs, concatenated, quantile_mapped
from soundgate.tracks.transfer.audit.competing import contest, contest_gate, worst_pairs
from soundgate.tracks.transfer.audit.scores import Scorer, mels_of
from soundgate.tracks.transfer.content.model import ContentModel, EncoderSettings
from tests.tracks.transfer.planted import GENRES, planted_cache

N_GROUPS = 12


def scored(path_scores, noise=0.01, truth=True):
    """Return rows of a path and of two baselines, one best by style and one nearest to the truth."""
    generator, rows = np.random.default_rng(0), []
    systems = {
        ("own", "transfer"): path_scores,
        ("knn", KIND): lambda source, target: (0.9, 8.0),
        ("blend", KIND): lambda source, target: (0.8, 6.0),
    }
    for (path, kind), scores in systems.items():
        for group in range(N_GROUPS):
            for source, target in (GENRES, GENRES[::-1]):
                sf, distance = np.array(scores(source, target)) + noise * generator.standard_normal(2)
                rows.append((path, kind, 2 * group + GENRES.index(source), source, target, str(group), sf, distance))
    columns = ["path", "kind", "row", "source_genre", "target_genre", "group", "sf_held_out", "to_truth_db"]
    return pd.DataFrame(rows, columns=columns).assign(**({} if truth else {"to_truth_db": np.nan}))


def judged(path_scores, **options):
    found = contest(scored(path_scores, **options), 0, 200)
    return found, contest_gate(found, "own")


def test_a_path_that_is_better_on_every_pair_by_every_criterion_passes():
    found, gate = judged(lambda source, target: (0.97, 5.0))
    assert found.best == {"sf": "knn", "nearer_db": "blend"}
    assert gate["verdict"] == "pass" and gate["value"] == gate["ci_low"] == gate["ci_high"] == 0
    assert gate["control"] == 2 and gate["n"] == N_GROUPS
    over = found.pairs.set_index(["criterion", "source_genre"])["over"]
    assert over["sf", GENRES[0]] == pytest.approx(0.07, abs=0.02)
    assert over["nearer_db", GENRES[1]] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    "cheat",
    {
        "identity": lambda source, target: (0.0, 14.0),
        "equaliser": lambda source, target: (0.1, 8.3),
        "the blend itself with a better style": lambda source, target: (0.97, 6.2),
        "nearer without the style": lambda source, target: (0.5, 5.0),
        "better in the mean, worse on a pair": lambda source, target: (0.99, 3.0 if source == GENRES[0] else 6.5),
    }.items(),
    ids=lambda item: item[0].replace(" ", "_"),
)
def test_cheats_fail(cheat):
    assert judged(cheat[1])[1]["verdict"] == "fail"


def test_what_cannot_be_told_is_undecided_and_the_worst_pair_is_named():
    found, gate = judged(lambda source, target: (0.97, 5.9 if source == GENRES[0] else 4.0), noise=0.5)
    assert gate["verdict"] == "undecided" and gate["ci_low"] == 0 < gate["ci_high"]
    worst = worst_pairs(found).set_index("criterion")
    assert worst.loc["nearer_db", "source_genre"] == GENRES[0]


def test_where_no_truth_is_known_the_style_alone_decides():
    found, gate = judged(lambda source, target: (0.97, np.nan), truth=False)
    assert found.best == {"sf": "knn"} and gate["verdict"] == "pass"


def test_the_baselines_know_the_training_rows_of_the_genre_and_bring_the_source_there():
    cache = planted_cache(15)
    torch.manual_seed(0)
    lab = ContentModel(EncoderSettings(channels=(8, 8, 8), shared=8), 2, 2).eval().requires_grad_(False)
    rows = cache.rows("test")[:4]
    genre = cache.index["genre"].to_numpy()[rows]
    wanted = pd.DataFrame({"row": rows, "source_genre": genre})
    wanted["target_genre"] = [GENRES[1 - GENRES.index(name)] for name in genre]
    table, mels = baseline_outputs(Scorer(cache, lab, None), wanted)
    assert list(table["path"].unique()) == list(BASELINES) and (table["kind"] == KIND).all()
    assert mels.shape == (4 * len(rows), 96, 256) and mels.max() == 0 and mels.min() >= -80
    sources = mels_of(cache, rows)
    for row, target, source, made in zip(rows, wanted["target_genre"], sources, mels[: len(rows)], strict=True):
        truth = mels_of(cache, cache.true_rows(row, target))[0]
        # The planted styles are slopes over bands: all that an equaliser can change.
        assert np.abs(made - truth).mean() < 0.4 * np.abs(source - truth).mean()


def test_concatenation_plays_the_nearest_steps_in_the_order_of_the_source():
    generator = np.random.default_rng(0)
    heard = generator.standard_normal((3, 4, 5))
    heard /= np.linalg.norm(heard, axis=2, keepdims=True)
    mels = generator.standard_normal((3, 6, 8))
    made = concatenated(heard[[1]][:, ::-1], heard, mels)
    expected = mels[1].reshape(6, 4, 2)[:, ::-1].reshape(6, 8)
    assert np.array_equal(made[0], expected)


def test_mapped_quantiles_have_the_distribution_of_the_examples_and_the_order_of_the_source():
    generator = np.random.default_rng(0)
    source, examples = generator.normal(-50, 3, (1, 2, 400)), generator.normal(-20, 9, (5, 2, 400))
    made = quantile_mapped(source, examples)
    assert np.quantile(made, (0.1, 0.5, 0.9)) == pytest.approx(np.quantile(examples, (0.1, 0.5, 0.9)), abs=0.6)
    assert np.array_equal(np.argsort(made[0, 0], kind="stable"), np.argsort(source[0, 0], kind="stable"))
