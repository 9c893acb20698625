from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from soundgate.tracks.structure.iaaft import iaaft
from soundgate.tracks.structure.linear import VectorAutoregression, fit_autoregression
from soundgate.tracks.structure.moments import lagged_moments
from soundgate.tracks.structure.normaliser import fit_normalisers
from soundgate.tracks.structure.nulls import choose_utterances, swapped_rows
from soundgate.tracks.structure.planted import (
    CorpusShape,
    Switching,
    beside_autoregressive,
    distorted_autoregressive,
    vector_autoregressive,
)
from soundgate.tracks.structure.sequences import TRAIN
from soundgate.tracks.structure.surrogates import (
    iaaft_null,
    pipeline_gains,
    reduced_sequences,
    simulate,
    stabilised,
    surrogate_null,
)

SHAPE = CorpusShape(n_speakers=10, n_utterances=5, n_frames=60, dim=4)


def test_swaps_stay_inside_speaker_and_split_and_leave_the_utterance():
    utterance = np.repeat([0, 1, 2, 3, 4], [5, 7, 4, 6, 3])
    speaker = np.array([0, 0, 0, 1, 0])[utterance]
    train = np.array([True, True, True, True, False])[utterance]
    source = swapped_rows(utterance, speaker, train, np.random.default_rng(0))
    assert (speaker[source] == speaker).all() and (train[source] == train).all()
    several = np.isin(utterance, [0, 1, 2])
    assert (utterance[source[several]] != utterance[several]).all()
    alone = utterance == 3
    assert (source[alone] - 16 == (np.arange(6) + 3) % 6).all()
    # The same place in the other utterance, read again from its start where that is shorter.
    place = np.concatenate([np.arange(n) for n in (5, 7, 4, 6, 3)])
    lengths = np.array([5, 7, 4, 6, 3])
    assert (place[source[several]] == place[several] % lengths[utterance[source[several]]]).all()


def test_surrogates_have_the_models_second_moments_and_the_data_starts():
    sequences = vector_autoregressive(CorpusShape(20, 10, 300, 3), seed=4)
    normaliser, _ = fit_normalisers(sequences, 2)
    moments = lagged_moments(sequences, normaliser, 2, (TRAIN,))
    model = stabilised(fit_autoregression(moments, moments, (1e-6,)))
    z = normaliser(sequences.latents)
    e = model.innovation(z)[sequences.valid(2)]
    surrogate = simulate(sequences, z, model, np.cov(e.T), np.random.default_rng(0))
    starts = sequences.starts[:-1]
    np.testing.assert_array_equal(surrogate[starts], z[starts])
    np.testing.assert_array_equal(surrogate[starts + 1], z[starts + 1])
    assert not np.array_equal(surrogate[starts + 2], z[starts + 2])
    again = model.innovation(surrogate)[sequences.valid(2)]
    np.testing.assert_allclose(np.cov(again.T), np.cov(e.T), rtol=0.05, atol=0.02)
    late = sequences.valid(100)
    lag_one = lambda x: x[late].T @ x[np.flatnonzero(late) - 1] / late.sum()  # noqa: E731
    # Speakers' levels are data, not dynamics: compare the surrogate with the model's own stationary moments.
    covariance = surrogate[late].T @ surrogate[late] / late.sum()
    predicted = model.weight[0].T @ covariance + model.weight[1].T @ lag_one(surrogate).T
    np.testing.assert_allclose(lag_one(surrogate), predicted, atol=0.06)


def test_unstable_models_are_shrunk_to_the_limit_and_stable_ones_left():
    grow = VectorAutoregression(np.array([1.2 * np.eye(2), 0.1 * np.eye(2)]), np.zeros(2), [0.0] * 2)
    tame = stabilised(grow, 0.9)
    companion = np.block([[tame.weight[0].T, tame.weight[1].T], [np.eye(2), np.zeros((2, 2))]])
    assert np.abs(np.linalg.eigvals(companion)).max() == pytest.approx(0.9)
    calm = replace(grow, weight=0.1 * grow.weight)
    np.testing.assert_array_equal(stabilised(calm, 0.9).weight, calm.weight)


def test_reduced_sequences_keep_the_leading_components():
    sequences = vector_autoregressive(SHAPE, seed=1)
    normaliser, _ = fit_normalisers(sequences, 3)
    reduced = reduced_sequences(sequences, normaliser, 2)
    train = sequences.split[sequences.utterance] == TRAIN
    variances = np.linalg.eigvalsh(np.cov(normaliser(sequences.latents)[train].T))[::-1]
    np.testing.assert_allclose(reduced.latents[train].var(0, ddof=1), variances[:2], rtol=1e-9)


def test_chosen_utterances_fit_and_are_keyed():
    sequences = vector_autoregressive(SHAPE, seed=1)
    chosen = choose_utterances(sequences, 610, seed=0)
    assert len(chosen) == 10 and (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(chosen, choose_utterances(sequences, 610, seed=0))
    assert not np.array_equal(chosen, choose_utterances(sequences, 610, seed=1))
    assert len(choose_utterances(sequences, 10**9, seed=0)) == 50


def test_the_surrogate_null_tells_structure_from_linear_processes(small_conditioning, small_metrics):
    shape = CorpusShape(n_speakers=20, n_utterances=5, n_frames=100, dim=8)
    settings = small_conditioning.model_copy(
        update={
            "window": 1,
            "conditions": {
                k: small_conditioning.conditions[k].model_copy(update={"n_clusters": 64}) for k in ("mean_vq",)
            },
        }
    )
    metrics = small_metrics.model_copy(
        update={"nulls": small_metrics.nulls.model_copy(update={"n_surrogates": 19, "n_dims": 10})}
    )

    def p_value(sequences):
        normaliser, _ = fit_normalisers(sequences, settings.history)
        return surrogate_null(reduced_sequences(sequences, normaliser, 10), settings, metrics, 0).p_values[0, 0]

    assert p_value(Switching().generate(shape, 0)) == 0.05
    # One linear process in twenty is below it by chance.
    assert sum(p_value(vector_autoregressive(shape, seed)) <= 0.05 for seed in range(6)) <= 1


def test_the_pipeline_statistic_is_repeatable(small_conditioning, small_metrics):
    sequences = vector_autoregressive(SHAPE, seed=2)
    first, *_ = pipeline_gains(sequences, small_conditioning, small_metrics, 5)
    second, *_ = pipeline_gains(sequences, small_conditioning, small_metrics, 5)
    np.testing.assert_array_equal(first, second)


def test_an_iaaft_surrogate_keeps_values_and_spectrum_and_shuffles_time():
    generator = np.random.default_rng(0)
    x = np.cumsum(generator.standard_normal((256, 2)), axis=0) * 0.1
    x = np.sign(x) * np.abs(x) ** 0.5
    found = iaaft(x, np.random.default_rng(1))
    np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(x, axis=0))
    power, kept = (np.abs(np.fft.rfft(s - s.mean(0), axis=0)) ** 2 for s in (x, found))
    assert np.corrcoef(power[1:20].ravel(), kept[1:20].ravel())[0, 1] > 0.95
    assert np.abs(found - x).mean() > 0.1 * x.std()
    np.testing.assert_array_equal(found, iaaft(x, np.random.default_rng(1)))


def test_iaaft_surrogates_gain_by_a_static_function_where_gaussian_ones_do_not(small_conditioning, small_metrics):
    sequences = distorted_autoregressive(CorpusShape(12, 4, 80, 2, n_eval=4), 0.9, 0.3, 0)
    settings = small_conditioning.model_copy(
        update={"window": 1, "lags": (1,), "conditions": {"mean_vq": small_conditioning.conditions["mean_vq"]}}
    )
    metrics = small_metrics.model_copy(update={"nulls": small_metrics.nulls.model_copy(update={"n_surrogates": 3})})
    normaliser, _ = fit_normalisers(sequences, settings.history)
    reduced = reduced_sequences(sequences, normaliser, 8)
    np.testing.assert_array_equal(reduced.latents, normaliser(sequences.latents))
    static, gaussian = (f(reduced, settings, metrics, 0).largest for f in (iaaft_null, surrogate_null))
    assert gaussian.max() < static.min() / 2


def test_ar_dimensions_beside_leave_the_others_as_they_are():
    planted = Switching(n_regimes=5).generate(SHAPE, 0)
    wider = beside_autoregressive(planted, 3, 0.7, 0)
    assert wider.dim == planted.dim + 3
    np.testing.assert_array_equal(wider.latents[:, : planted.dim], planted.latents)
