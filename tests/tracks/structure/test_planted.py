"""The analysis on data whose truth is known: gains equal the closed form, and each decision falls as it must."""

from __future__ import annotations

import numpy as np
import pytest

from soundgate.evaluation.statistics import permutation_p
from soundgate.tracks.structure.analysis import analyse
from soundgate.tracks.structure.decision import decide
from soundgate.tracks.structure.fitting import fit_conditioning
from soundgate.tracks.structure.planted import (
    CorpusShape,
    Switching,
    autoregressive,
    beside_autoregressive,
    rotation,
    vector_autoregressive,
    volatile,
)
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN
from soundgate.tracks.structure.settings import ConditioningSettings

SHAPE = CorpusShape(n_speakers=30, n_utterances=10, n_frames=120)
SMALL = CorpusShape(n_speakers=20, n_utterances=6, n_frames=100, dim=6)


def window_one(n_clusters: int = 64, n_components: int = 6) -> ConditioningSettings:
    return ConditioningSettings.model_validate(
        {
            "window": 1,
            "lags": (1, 2),
            "n_init": 1,
            "max_fit_frames": 8000,
            "n_seeds": 0,
            "ridges": (0.001, 0.1),
            "conditions": {
                "mean_vq": {"kind": "mean_vq", "n_clusters": n_clusters},
                "pca_vq": {"kind": "pca_vq", "n_components": n_components, "n_clusters": n_clusters},
            },
        }
    )


def analysed(sequences, settings, metrics, seed=0):
    fitted = fit_conditioning(sequences, settings, seed)
    return analyse(sequences, fitted, settings, metrics, seed)[0]


def test_responses_are_white_and_blind_to_the_anchors_at_second_order():
    model = Switching(stay=0.7)
    sequences = model.generate(CorpusShape(40, 20, 200), seed=1)
    x = sequences.latents.reshape(-1, 200, sequences.dim)
    x = (x - x.mean((0, 1))) / x.std((0, 1))
    n_anchor = 2 * model.n_copies
    for lag in (1, 2, 5):
        cross = np.einsum("utd,ute->de", x[:, lag:], x[:, :-lag]) / x[:, lag:, 0].size
        assert np.abs(cross[n_anchor:, :]).max() < 0.03
        np.testing.assert_allclose(np.diag(cross)[:n_anchor], 0.7**lag, atol=0.03)


def test_gain_is_the_closed_form_within_its_interval(small_metrics):
    model, settings = Switching(n_regimes=5, stay=0.7), window_one(5).model_copy(update={"n_init": 5})
    shape = CorpusShape(n_speakers=36, n_utterances=10, n_frames=150, n_eval=12)
    inside = []
    for seed in range(3):
        metrics = analysed(model.generate(shape, seed), settings, small_metrics, seed)
        for lag in settings.lags:
            gain = metrics["conditions"]["mean_vq"]["lags"][str(lag)]["sound"]["gain_new"]["innovation"]
            expected = model.closed_form_gain(lag, settings.history)
            inside.append(gain["ci_low"] <= expected <= gain["ci_high"])
            assert gain["value"] == pytest.approx(expected, rel=0.12)
    assert sum(inside) >= 5


def test_the_closed_form_is_the_share_of_regime_means_in_a_long_simulation():
    model, order, lag = Switching(stay=0.6), 3, 2
    x = model.generate(CorpusShape(10, 10, 2000), seed=2).latents.reshape(100, 2000, -1)
    x = (x - x.mean((0, 1))) / x.std((0, 1))
    past = np.concatenate([x[:, order - j : 2000 - j] for j in range(1, order + 1)], -1).reshape(
        -1, order * x.shape[-1]
    )
    present = x[:, order:].reshape(-1, x.shape[-1])
    e = present - past @ np.linalg.lstsq(past, present, rcond=None)[0]
    anchors = x[:, order - lag : 2000 - lag, :2].reshape(-1, 2)
    regime = np.round(np.arctan2(anchors[:, 1], anchors[:, 0]) * 8 / (2 * np.pi)).astype(int) % 8
    between = sum((regime == r).sum() * np.square(e[regime == r].mean(0)).sum() for r in range(8))
    assert between / np.square(e).sum() == pytest.approx(model.closed_form_gain(lag, order), rel=0.05)


def test_planted_structure_passes_the_sound_decision(small_metrics, thresholds):
    metrics = analysed(Switching(stay=0.7).generate(SHAPE, 0), window_one(), small_metrics)
    decision = decide(metrics, thresholds)["sound"]
    assert decision["verdict"] == "pass" and "mean_vq" in decision["passing_conditions"]


@pytest.mark.parametrize(
    "generate",
    [
        lambda: autoregressive(SMALL, 0.0, 1),
        lambda: autoregressive(SMALL, 0.9, 1),
        lambda: autoregressive(SMALL, -0.7, 1),
        lambda: autoregressive(SMALL, 1.0, 1),
        lambda: autoregressive(SMALL, 0.7, 1, 4.0),
        lambda: vector_autoregressive(SMALL, 1),
        lambda: volatile(SMALL, 1),
    ],
    ids=["white", "ar 0.9", "ar -0.7", "random walk", "heavy tails", "var", "volatile"],
)
def test_linear_processes_fail_the_sound_decision(generate, small_conditioning, small_metrics, thresholds):
    decision = decide(analysed(generate(), small_conditioning, small_metrics), thresholds)["sound"]
    assert decision["verdict"] != "pass"
    assert all(first is not None for first in decision["first_failed"].values())


def test_white_noise_fools_the_seed_decision_and_not_the_sound_one(small_metrics, thresholds):
    shape = CorpusShape(n_speakers=20, n_utterances=6, n_frames=100, dim=1)
    metrics = analysed(autoregressive(shape, 0.0, 1), window_one(32, 1), small_metrics)
    entry = metrics["conditions"]["mean_vq"]["lags"]["1"]
    # (1 + a) / 2 with a = 0: the difference of white noise is half explained by where it starts.
    assert entry["seed"]["variance_ratio_train"]["all"] == pytest.approx(0.5, abs=0.03)
    assert entry["sound"]["gain_new"]["innovation"]["value"] < 0.005
    assert decide(metrics, thresholds)["sound"]["verdict"] != "pass"


def test_a_rotation_fools_every_criterion_of_the_seed_and_not_the_sound_decision(small_metrics, thresholds):
    shape = CorpusShape(n_speakers=20, n_utterances=6, n_frames=100, dim=2)
    settings = window_one(64, 2).model_copy(update={"lags": (1, 2, 4)})
    decision = decide(analysed(rotation(shape, 0.97, 2.0, 1), settings, small_metrics), thresholds)
    assert decision["seed"]["verdict"] == "pass"
    assert decision["sound"]["verdict"] != "pass"


@pytest.mark.parametrize("coefficient", [-0.5, 0.0, 0.5])
def test_the_difference_of_an_ar1_has_ratio_one_plus_a_over_two(coefficient, small_metrics):
    shape = CorpusShape(n_speakers=20, n_utterances=6, n_frames=200, dim=1)
    metrics = analysed(autoregressive(shape, coefficient, 3), window_one(64, 1), small_metrics)
    ratio = metrics["conditions"]["mean_vq"]["lags"]["1"]["seed"]["variance_ratio_train"]["all"]
    assert ratio == pytest.approx((1 + coefficient) / 2, abs=0.03)


def test_speaker_specific_dynamics_fail_on_new_speakers(small_metrics, thresholds):
    shape = CorpusShape(n_speakers=20, n_utterances=10, n_frames=150, n_eval=8)
    sequences = Switching(n_regimes=5, speaker_specific=0.5).generate(shape, 0)
    decision = decide(analysed(sequences, window_one(), small_metrics), thresholds)["sound"]
    checks = decision["criteria"]["mean_vq"]
    assert checks["loss_on_new_speakers"]["verdict"] != "pass"
    assert checks["loss_on_new_speakers"]["value"] > 0.4
    assert decision["verdict"] != "pass"


def test_energy_only_dynamics_fail_once_energy_is_taken_out(small_metrics, thresholds):
    metrics_settings = small_metrics.model_copy(update={"n_confound_bins": 32})
    sequences = Switching(n_regimes=5, stay=0.0, white_noise=2.0, energy_shows=True).generate(SHAPE, 0)
    decision = decide(analysed(sequences, window_one(), metrics_settings), thresholds)["sound"]
    checks = decision["criteria"]["mean_vq"]
    assert checks["gain"]["verdict"] == "pass" and checks["gain_without_confounds"]["verdict"] != "pass"
    assert decision["first_failed"]["mean_vq"] == "gain_without_confounds"


def test_generated_corpora_are_split_by_speaker():
    sequences = autoregressive(SMALL, 0.0, 0)
    train, held, new = (set(sequences.speaker[sequences.split == s]) for s in (TRAIN, HOLDOUT, EVAL))
    assert held == train and not train & new and len(new) == 6


def test_permutation_p_is_never_zero():
    assert permutation_p(5.0, np.arange(4)) == 1 / 5
    assert permutation_p(2.0, np.arange(4)) == 3 / 5


def test_regimes_in_few_of_many_dimensions_are_not_denied(small_metrics, thresholds):
    model = Switching(n_regimes=5, stay=0.7, n_copies=2)
    sequences = beside_autoregressive(model.generate(CorpusShape(16, 4, 60, n_eval=4), 0), 96, 0.7, 0)
    settings = window_one(16).model_copy(update={"lags": (1,), "window": 4})
    decision = decide(analysed(sequences, settings, small_metrics), thresholds)["sound"]
    assert decision["verdict"] == "undecided" and decision["reasons"]
