from __future__ import annotations

import numpy as np
import pytest

from soundgate.tracks.structure.analysis import analyse
from soundgate.tracks.structure.decision import decide
from soundgate.tracks.structure.fitting import fit_conditioning
from soundgate.tracks.structure.planted import CorpusShape, autoregressive
from soundgate.tracks.structure.power import PlantingGround, detectable_gain
from soundgate.tracks.structure.settings import ConditioningSettings, PowerSettings

POWER = PowerSettings(gains=(0.005, 0.05, 0.3), n_draws=10, probability=0.8, max_frames=100_000)


def ground(n: int, dim: int, cells: str, seed: int = 0) -> PlantingGround:
    """White innovations of 20 train and 10 eval speakers; cells that show each frame's context, or nothing."""
    generator = np.random.default_rng(seed)
    context = generator.standard_normal((n, dim)).astype(np.float32)
    bins = np.floor(np.clip(context[:, 0], -3, 2.9) * 5 + 15).astype(int)
    ids = bins if cells == "context" else generator.integers(30, size=n)
    utterance = np.arange(n) * 30 // n
    innovation = generator.standard_normal((n, dim)).astype(np.float32)
    train = utterance < 20
    return PlantingGround(innovation, context, ids[None], utterance, train, utterance[~train] - 20)


def test_cells_that_show_the_context_find_what_is_planted_in_it_from_a_size_on():
    found = detectable_gain(ground(12_000, 1, "context"), POWER, 200, 0)
    assert found["detectable_gain"] == 0.05
    shares = [share["value"] for share in found["power"].values()]
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_fewer_frames_find_less():
    found = detectable_gain(ground(300, 1, "context"), POWER, 200, 0)
    assert found["detectable_gain"] is None or found["detectable_gain"] > 0.005


def test_cells_blind_to_the_context_find_nothing_of_any_size():
    found = detectable_gain(ground(12_000, 1, "nothing"), POWER, 200, 0)
    assert found["detectable_gain"] is None
    assert max(share["value"] for share in found["power"].values()) <= 0.3


def test_the_same_seed_finds_the_same():
    one, two, other = (detectable_gain(ground(2000, 2, "context"), POWER, 200, s) for s in (1, 1, 2))
    assert one == two and one["power"].keys() == other["power"].keys()


@pytest.mark.parametrize("dim", [1, 2])
def test_a_fail_is_reached_where_the_tables_would_have_found_the_gain(dim, small_metrics, thresholds):
    settings = ConditioningSettings.model_validate(
        {
            "window": 1,
            "lags": (1,),
            "n_init": 1,
            "max_fit_frames": 8000,
            "n_seeds": 0,
            "ridges": (0.001, 0.1),
            "conditions": {"mean_vq": {"kind": "mean_vq", "n_clusters": 32}},
        }
    )
    power = POWER.model_copy(update={"gains": (0.01, 0.05)})
    sequences = autoregressive(CorpusShape(60, 10, 100, dim, n_eval=24), 0.5, 0)
    metrics_settings = small_metrics.model_copy(update={"power": power})
    metrics = analyse(sequences, fit_conditioning(sequences, settings, 0), settings, metrics_settings, 0)[0]
    decision = decide(metrics, thresholds)["sound"]
    assert metrics["detectable_gain"] == 0.01
    assert decision["verdict"] == "fail" and not decision["reasons"]
