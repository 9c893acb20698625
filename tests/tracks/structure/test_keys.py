"""Hashed n-grams and the supervised quantiser, on structure that only they can hold."""

from __future__ import annotations

import numpy as np
import pytest

from soundgate.runtime.config import parse_section
from soundgate.runtime.errors import ConfigError
from soundgate.tracks.structure.fitting import fit_conditioning
from soundgate.tracks.structure.gain import held_out_errors
from soundgate.tracks.structure.keys import NgramHash
from soundgate.tracks.structure.planted import CorpusShape, Switching, as_sequences, autoregressive
from soundgate.tracks.structure.scoring import build_scorer
from soundgate.tracks.structure.sequences import EVAL, Sequences
from soundgate.tracks.structure.settings import ConditioningSettings
from soundgate.tracks.structure.store import load_conditioning, save_conditioning

SHAPE = CorpusShape(n_speakers=16, n_utterances=8, n_frames=100)
KEYS = {
    "mean_vq": {"kind": "mean_vq", "n_clusters": 64},
    "ngram": {"kind": "ngram_hash", "n_clusters": 64, "n_codes": 4, "order": 2, "n_heads": 4},
    "supervised": {"kind": "supervised_vq", "n_clusters": 64, "hidden": 32},
}


def ngrams(shape: CorpusShape, seed: int) -> Sequences:
    """Symbols drawn anew every frame; two dimensions are sin(a - b) and its double of the last two, and noise.

    Which came first decides the sign: no symbol alone, no linear model and no mean of two says anything.
    """
    generator = np.random.default_rng(seed)
    symbol = generator.integers(4, size=(shape.n_sequences, shape.n_frames + 2))
    angle = np.pi / 2 * symbol
    anchors = np.tile(np.stack([np.cos(angle), np.sin(angle)], -1), 3)
    anchors += 0.05 * generator.standard_normal(anchors.shape)
    turn = np.sin(angle[:, 1:-1] - angle[:, :-2])
    response = np.stack([turn, -turn], -1) + 0.5 * generator.standard_normal((*turn.shape, 2))
    energy = generator.lognormal(size=turn.shape)
    return as_sequences(np.concatenate([anchors[:, 2:], response], -1), shape, energy)


def many_linear_dimensions(shape: CorpusShape, n_linear: int) -> Sequences:
    """Regimes in a few dimensions among many that are linear."""
    few = Switching(stay=0.7).generate(shape, 0)
    others = autoregressive(CorpusShape(**{**vars(shape), "dim": n_linear}), 0.8, 1)
    order = np.concatenate([few.latents, others.latents], axis=1)
    return Sequences(order, few.rows, few.lengths, few.speaker, few.split, few.energy, few.high_energy, few.position)


@pytest.fixture
def settings(small_conditioning) -> ConditioningSettings:
    return ConditioningSettings.model_validate(
        small_conditioning.model_dump() | {"lags": (1,), "n_seeds": 0, "max_fit_frames": 20_000, "conditions": KEYS}
    )


def gains(sequences: Sequences, settings: ConditioningSettings, metrics) -> dict[str, tuple[float, float]]:
    """Return the lower and upper end of each condition's gain for new speakers."""
    fitted = fit_conditioning(sequences, settings, 0)
    scorer = build_scorer(sequences, fitted, settings.history, metrics, 0, None)
    found = {}
    for condition, ids in zip(fitted.conditions, fitted.ids, strict=True):
        gain = scorer.gain(held_out_errors(scorer.targets, ids, scorer.held), "innovation", EVAL, "all", condition.name)
        found[condition.name] = (gain.ci_low, gain.ci_high)
    return found


def test_ngrams_are_found_by_their_key_and_not_by_means(settings, small_metrics):
    found = gains(ngrams(SHAPE, 0), settings, small_metrics)
    assert found["ngram"][0] > 0.1 and found["mean_vq"][1] < 0.02
    assert found["mean_vq"][1] < found["supervised"][0]


def test_regimes_in_few_of_many_dimensions_are_found_by_the_supervised_key(settings, small_metrics):
    found = gains(many_linear_dimensions(SHAPE, 48), settings, small_metrics)
    assert found["supervised"][0] > max(0.003, found["mean_vq"][1])


def test_keys_find_nothing_where_all_is_linear(settings, small_metrics):
    found = gains(autoregressive(CorpusShape(16, 8, 100, 6), 0.8, 0), settings, small_metrics)
    assert all(low < 0.005 for low, _ in found.values())


def test_a_bucket_that_fewer_ngrams_share_is_read():
    codebook = np.array([[0.0], [1.0], [2.0]])
    multipliers = np.array([[3, 5], [7, 9]], np.uint64) * np.uint64(2**40 + 1)
    ngram = np.array([[1, 2]])
    counts = np.full((2, 8), 9)
    key = NgramHash(codebook, multipliers, counts)
    first, second = key.buckets(ngram)[:, 0]
    for head, bucket in ((0, first), (1, second)):
        fewer = counts.copy()
        fewer[head, bucket] = 1
        # Frames 2.1 then 0.9: the n-gram that ends at the second is (1, 2), the last code first.
        cells, sure = NgramHash(codebook, multipliers, fewer).assign(np.array([[2.1], [0.9]]))
        assert cells[1] == head * 8 + bucket and np.isnan(sure).all()


def test_keys_come_back_as_they_were(settings, tmp_path):
    sequences = autoregressive(CorpusShape(6, 4, 40, 3, n_eval=2), 0.5, 0)
    fitted = fit_conditioning(sequences, settings, 0)
    save_conditioning(tmp_path, fitted)
    again = load_conditioning(tmp_path, sequences.n_frames)
    z = fitted.frames(sequences.latents)
    for old, new in zip(fitted.conditions, again.conditions, strict=True):
        assert type(new.key) is type(old.key)
        if old.kind != "mean_vq":
            inputs = z if old.kind == "ngram_hash" else np.concatenate([z, z], axis=1)
            np.testing.assert_array_equal(new.key.assign(inputs)[0], old.key.assign(inputs)[0])


def test_tables_are_of_the_size_that_is_said(settings):
    sequences = ngrams(CorpusShape(8, 4, 60, n_eval=2), 0)
    fitted = fit_conditioning(sequences, settings, 0)
    assert fitted.ids.max() < 64 and [c.n_cells for c in fitted.conditions] == [64, 64, 64]
    twice = fit_conditioning(sequences, settings, 0)
    assert twice.ids.tobytes() == fitted.ids.tobytes()


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"kind": "ngram_hash", "n_clusters": 64}, "n_clusters and n_codes and order and n_heads"),
        ({"kind": "ngram_hash", "n_clusters": 6, "n_codes": 4, "order": 2, "n_heads": 4}, "two cells each"),
        ({"kind": "ngram_hash", "n_clusters": 64, "n_codes": 4, "order": 4, "n_heads": 4}, "fit into the window"),
        ({"kind": "supervised_vq", "n_clusters": 64}, "n_clusters and hidden"),
    ],
)
def test_impossible_keys_are_refused(small_conditioning, condition, words):
    values = small_conditioning.model_dump(exclude_none=True) | {"conditions": {"c": condition}}
    with pytest.raises(ConfigError, match=words):
        parse_section("structure.conditioning", values, ConditioningSettings)
