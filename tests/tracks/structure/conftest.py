from __future__ import annotations

import pytest

from soundgate.tracks.structure.settings import ConditioningSettings, DecisionSettings, MetricsSettings


@pytest.fixture(scope="session")
def small_conditioning() -> ConditioningSettings:
    return ConditioningSettings.model_validate(
        {
            "window": 3,
            "lags": (1, 2),
            "n_init": 1,
            "max_fit_frames": 5000,
            "n_seeds": 1,
            "ridges": (0.01, 0.1, 1.0),
            "conditions": {
                "mean_vq": {"kind": "mean_vq", "n_clusters": 5},
                "pca_vq": {"kind": "pca_vq", "n_components": 2, "n_clusters": 6},
                "pca_quartile": {"kind": "pca_quartile", "n_components": 2},
            },
        }
    )


@pytest.fixture(scope="session")
def small_metrics() -> MetricsSettings:
    return MetricsSettings.model_validate(
        {
            "min_cluster_frames": 10,
            "medial": (0.17, 0.83),
            "n_bootstrap": 200,
            "n_confound_bins": 4,
            "stability_frames": 300,
            "nulls": {
                "n_dims": 8,
                "n_swaps": 19,
                "swap_max_frames": 20_000,
                "n_surrogates": 0,
                "surrogate_max_frames": 8000,
            },
            "ceiling": {
                "hidden": 16,
                "epochs": 2,
                "batch_size": 64,
                "learning_rate": 0.01,
                "max_frames": 5000,
            },
            "power": {"gains": (0.01, 0.1), "n_draws": 4, "probability": 0.8, "max_frames": 5000},
        }
    )


@pytest.fixture(scope="session")
def thresholds() -> DecisionSettings:
    return DecisionSettings.model_validate(
        {
            "seed": {
                "variance_ratio": 0.6,
                "degradation": 0.2,
                "persistence": 0.65,
                "baseline_tolerance": 0.05,
                "excluded_mass": 0.1,
            },
            "sound": {"min_gain": 0.01, "p_value": 0.05, "degradation": 0.2},
        }
    )
