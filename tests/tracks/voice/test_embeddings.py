import tracemalloc

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import torch

from soundgate.evaluation.gates import judge_gated
from soundgate.evaluation.resampling import weighted_estimate
from soundgate.evaluation.statistics import ratio_estimate
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.files import read_json
from soundgate.tracks.voice.cache import Utterances
from soundgate.tracks.voice.embeddings.analysis import analysis, analyze_embeddings, embed_batches
from soundgate.tracks.voice.embeddings.gating import embedding_gates
from soundgate.tracks.voice.embeddings.pictures import draw_map
from soundgate.tracks.voice.embeddings.settings import Thresholds
from soundgate.tracks.voice.embeddings.similarity import _BLOCK, equal_error_rate, pairs_of, speaker_figures

THRESHOLDS = Thresholds(same=0.7, different=0.3, separation=0.4, over_random=0.2)


def unit(rows):
    rows = np.asarray(rows, float)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def cloud(n_speakers, n_own, spread, seed=0, dim=12):
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(n_speakers, dim)))
    speakers = np.repeat(np.arange(n_speakers), n_own)
    return unit(centres[speakers] + spread * rng.normal(size=(len(speakers), dim)) / np.sqrt(dim)), speakers


def test_similarities_are_those_of_all_pairs():
    embeddings = unit([[1, 0], [1, 1], [0, 1], [-1, 0]])
    figures = speaker_figures(embeddings, np.array(["x", "x", "y", "y"]), np.random.default_rng(0), 10)
    half = np.sqrt(0.5)
    assert figures["same"].value == pytest.approx((half + 0) / 2)
    assert figures["different"].value == pytest.approx((0 - 1 + half - half) / 4)
    assert figures["separation"].value == pytest.approx(figures["same"].value - figures["different"].value)
    assert figures["same"].n == 2


def test_pairs_take_a_few_numbers_each_in_memory():
    embeddings, speakers = cloud(30, 20, 0.3, dim=64)
    tracemalloc.start()
    pairs = pairs_of(embeddings, speakers)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(pairs.similarity) == 600 * 599 // 2 > 2 * _BLOCK
    # Both ends' vectors of a block, and the pairs; with all vectors at once it would be 184 MB and more.
    assert peak < 4 * _BLOCK * 64 * 8 + 17 * len(pairs.similarity) < 60e6


@pytest.mark.parametrize("n_own", [1, 2, 20])
def test_pairs_are_those_of_the_upper_triangle(n_own):
    embeddings, speakers = cloud(30, n_own, 0.3, dim=64)
    names = np.array([f"s{code * 7 % 30:02d}" for code in speakers])
    pairs = pairs_of(embeddings.astype(np.float32), names)
    first, second = np.triu_indices(len(names), 1)
    vectors = embeddings.astype(np.float32).astype(float)
    np.testing.assert_array_equal(pairs.similarity, np.einsum("pd,pd->p", vectors[first], vectors[second]))
    codes = np.unique(names, return_inverse=True)[1]
    np.testing.assert_array_equal(pairs.first, codes[first])
    np.testing.assert_array_equal(pairs.second, codes[second])
    assert pairs.n_speakers == 30


@pytest.mark.parametrize("n", [7, 30])
def test_intervals_of_a_ratio_are_those_of_the_shared_estimate(n):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=n), rng.uniform(1, 2, n)
    ours = weighted_estimate(lambda w: w @ x / (w @ y), n, np.random.default_rng(2), 500)
    theirs = ratio_estimate(x, y, np.random.default_rng(2), 500)
    np.testing.assert_allclose(
        [ours.value, ours.ci_low, ours.ci_high, ours.n], [theirs.value, theirs.ci_low, theirs.ci_high, theirs.n]
    )


def test_an_interval_over_speakers_is_wider_than_one_over_utterances():
    wide = speaker_figures(*cloud(8, 10, 0.3), np.random.default_rng(0), 100)["different"]
    embeddings, _ = cloud(8, 10, 0.3)
    copies = np.arange(len(embeddings))
    pairs = pairs_of(embeddings, copies)
    narrow = weighted_estimate(
        lambda w: (pairs.weights(w) @ pairs.similarity) / pairs.weights(w).sum(), 80, np.random.default_rng(0), 100
    )
    assert wide.ci_high - wide.ci_low > 1.5 * (narrow.ci_high - narrow.ci_low)


def test_a_speaker_drawn_twice_is_not_two_speakers():
    pairs = pairs_of(*cloud(3, 2, 0.1))
    weights = pairs.weights(np.array([2.0, 0, 1]))
    assert (weights[pairs.same & (pairs.first == 0)] == 2).all()
    assert (weights[(pairs.first == 0) & (pairs.second == 2)] == 2).all() and not weights[pairs.second == 1].any()


def test_equal_error_rates_that_are_known():
    ones = np.ones(4)
    assert equal_error_rate(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1], bool), ones) == 0
    assert equal_error_rate(np.array([0.1, 0.2, 0.8, 0.9]), np.array([1, 1, 0, 0], bool), ones) == 1
    assert equal_error_rate(np.full(4, 0.5), np.array([0, 1, 0, 1], bool), ones) == pytest.approx(0.5)
    assert np.isnan(equal_error_rate(np.arange(4.0), np.ones(4, bool), ones))
    # Two normal distributions a distance d apart cross at the error Phi(-d / 2).
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(0, 1, 20_000), rng.normal(2, 1, 5_000)])
    found = equal_error_rate(scores, np.arange(25_000) >= 20_000, np.ones(25_000))
    assert found == pytest.approx(0.1587, abs=0.006)


def test_weights_count_as_copies():
    rng = np.random.default_rng(0)
    scores, same, counts = rng.normal(size=60), rng.random(60) < 0.4, rng.integers(0, 3, 60)
    copies = np.repeat(np.arange(60), counts)
    expected = equal_error_rate(scores[copies], same[copies], np.ones(len(copies)))
    assert equal_error_rate(scores, same, counts.astype(float)) == pytest.approx(expected)


class Lookup(torch.nn.Module):
    """Gives the embedding whose number is the waveform's first sample."""

    def __init__(self, table):
        super().__init__()
        self.table = torch.nn.Parameter(torch.from_numpy(table).float())

    def forward(self, wav):
        assert not self.training
        return self.table[wav[:, 0].long()]


def loader(speakers, size=7):
    numbers = torch.arange(len(speakers), dtype=torch.float32)
    none = torch.zeros(size)
    for first in range(0, len(speakers), size):
        part = slice(first, first + size)
        yield Utterances(numbers[part, None], none[:, None], none, none, torch.from_numpy(speakers[part]))


def test_the_seeds_call_gives_its_keys_and_writes_what_it_found(tmp_path):
    embeddings, speakers = cloud(5, 6, 0.4)
    model = Lookup(embeddings).train()
    results = analyze_embeddings(model, loader(speakers), "cpu", tmp_path, max_samples=28, visualize=True)
    assert model.training and results["n_utterances"] == 28 and results["n_speakers"] == 5
    expected = analysis(embeddings[:28].astype(np.float32), speakers[:28], 0, 2000)
    assert results == read_json(tmp_path / "embeddings.json") == expected
    same, different = results["same_speaker_similarity"], results["different_speaker_similarity"]
    assert same["ci_low"] < same["mean"] < same["ci_high"] and same["std"] > 0
    assert results["separation"] == pytest.approx(same["mean"] - different["mean"])
    table = pd.read_csv(tmp_path / "similarities.csv")
    assert table[["same", "different"]].sum().to_numpy() == pytest.approx([1, 1], abs=1e-3)
    middle = (table["similarity"] * table["same"]).sum()
    assert middle == pytest.approx(same["mean"], abs=0.03)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(first) == {"embeddings.json", "similarities.csv", "similarities.png", "embeddings.png"}
    analyze_embeddings(model, loader(speakers), "cpu", tmp_path, max_samples=28)
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", ["a$b_{$", "100 $"])
def test_the_map_shows_speakers_of_any_name(tmp_path, name):
    embeddings, speakers = cloud(3, 4, 0.4)
    draw_map(tmp_path / "map.png", embeddings, np.where(speakers == speakers[0], name, "other"), 0)
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_a_map_of_many_speakers_has_no_legend_that_leaves_it_no_room(tmp_path):
    embeddings, speakers = cloud(60, 2, 0.4)
    draw_map(tmp_path / "map.png", embeddings, speakers, 0)
    picture = matplotlib.image.imread(tmp_path / "map.png")[..., :3]
    # Points at the left and the right end.
    coloured = (picture.max(axis=2) - picture.min(axis=2) > 0.2).any(axis=0)
    assert coloured[: len(coloured) // 4].any() and coloured[-len(coloured) // 8 :].any()


def test_without_pictures_none_are_drawn(tmp_path):
    embeddings, speakers = cloud(3, 3, 0.4)
    analyze_embeddings(Lookup(embeddings), loader(speakers), "cpu", tmp_path, visualize=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["embeddings.json", "similarities.csv"]


def test_good_embeddings_pass_the_gates_and_constant_or_random_ones_do_not():
    def verdicts(embeddings, speakers, control):
        gates = embedding_gates(analysis(embeddings, speakers, 0, 100), control, THRESHOLDS)
        return {name: judge_gated(gate)["verdict"] for name, gate in gates.items()}

    embeddings, speakers = cloud(6, 8, 0.3)
    random = analysis(*cloud(6, 8, 30.0), 0, 100)
    assert set(verdicts(embeddings, speakers, random).values()) == {"pass"}
    constant = verdicts(np.tile(embeddings[:1], (48, 1)), speakers, random)
    assert constant["same_speaker_similarity"] == "pass" and constant["different_speaker_similarity"] == "fail"
    assert constant["separation"] == constant["separation_over_random"] == "fail"
    own = analysis(embeddings, speakers, 0, 100)
    assert verdicts(embeddings, speakers, own)["separation_over_random"] == "fail"


def test_one_speaker_is_not_enough():
    with pytest.raises(CorpusError, match="1 speakers"):
        analysis(unit(np.random.default_rng(0).normal(size=(4, 3))), np.zeros(4), 0, 10)


def test_embeddings_keep_the_order_of_the_batches():
    embeddings, speakers = cloud(4, 4, 0.5)
    found, codes = embed_batches(Lookup(embeddings), loader(speakers, 5), "cpu", 100)
    np.testing.assert_allclose(found, embeddings, atol=1e-6)
    np.testing.assert_array_equal(codes, speakers)
