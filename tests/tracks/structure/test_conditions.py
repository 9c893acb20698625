from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans

from soundgate.runtime.config import parse_section
from soundgate.runtime.errors import ConfigError
from soundgate.tracks.structure import conditions
from soundgate.tracks.structure.conditions import fit_centroids, quartile_ids
from soundgate.tracks.structure.fitting import fit_conditioning
from soundgate.tracks.structure.planted import CorpusShape, autoregressive
from soundgate.tracks.structure.sequences import TRAIN
from soundgate.tracks.structure.settings import ConditioningSettings
from soundgate.tracks.structure.stability import prediction_strength
from tests.workers import as_by_workers

SHAPE = CorpusShape(n_speakers=8, n_utterances=4, n_frames=40, dim=3)


def blobs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    label = generator.integers(4, size=n)
    return np.array([[0, 0], [10, 0], [0, 10], [10, 10.0]])[label] + 0.1 * generator.standard_normal((n, 2)), label


def test_quartile_ids_are_base_four_numbers():
    edges = np.array([[0.0, 1.0, 2.0], [10.0, 20.0, 30.0]])
    features = np.array([[-1, 5], [0.5, 5], [1.5, 15], [9, 99.0]])
    assert quartile_ids(features, edges).tolist() == [0, 1, 2 + 4, 3 + 12]


def test_centroids_from_a_sample_of_starts_are_those_of_all_rows(monkeypatch):
    data, _ = blobs(2000, 0)
    monkeypatch.setattr(conditions, "RESTART_FRAMES", 300)
    found = fit_centroids(data, 4, 3, 0)
    expected = KMeans(4, n_init=10, random_state=0).fit(data).cluster_centers_
    order = lambda c: c[np.lexsort(np.round(c, 1).T)]  # noqa: E731
    np.testing.assert_allclose(order(found), order(expected), atol=1e-6)


def test_each_frame_gets_its_nearest_centroid_and_the_confidence_of_the_margin(small_conditioning):
    sequences = autoregressive(SHAPE, 0.5, 0)
    fitted = fit_conditioning(sequences, small_conditioning, 0)
    history = small_conditioning.history
    for condition, ids, confidence in zip(fitted.conditions, fitted.ids, fitted.confidence, strict=True):
        assert (ids[~sequences.valid(history)] == -1).all() and (ids[sequences.valid(history)] >= 0).all()
        if condition.kind != "mean_vq":
            continue
        frame = int(sequences.starts[3]) + 20
        z = fitted.frames(sequences.latents)
        context = z[frame - condition.lag - 2 : frame - condition.lag + 1].mean(0)
        distance = np.sort(np.linalg.norm(condition.centroids - context, axis=1))
        assert ids[frame] == np.linalg.norm(condition.centroids - context, axis=1).argmin()
        assert confidence[frame] == pytest.approx(1 - distance[0] / distance[1], abs=1e-5)


def test_quartiles_hold_a_quarter_of_the_train_frames_each(small_conditioning):
    sequences = autoregressive(SHAPE, 0.5, 0)
    fitted = fit_conditioning(sequences, small_conditioning, 0)
    column = next(i for i, c in enumerate(fitted.conditions) if c.kind == "pca_quartile")
    train = sequences.valid(small_conditioning.history) & (sequences.split[sequences.utterance] == TRAIN)
    share = np.bincount(fitted.ids[column][train] % 4) / train.sum()
    np.testing.assert_allclose(share, 0.25, atol=0.01)


def test_workers_fit_the_same_bytes(small_conditioning, monkeypatch):
    sequences = autoregressive(SHAPE, 0.5, 0)
    results = [fit_conditioning(sequences, small_conditioning, 0)]
    as_by_workers(monkeypatch)
    results.append(fit_conditioning(sequences, small_conditioning, 0))
    for a, b in zip(results[0].conditions, results[1].conditions, strict=True):
        for left, right in ((a.centroids, b.centroids), (a.edges, b.edges)):
            assert (left is None) == (right is None) and (left is None or left.tobytes() == right.tobytes())
    assert results[0].ids.tobytes() == results[1].ids.tobytes()


def test_eval_frames_do_not_touch_what_is_fitted(small_conditioning):
    from dataclasses import replace

    sequences = autoregressive(SHAPE, 0.5, 0)
    other = sequences.latents.copy()
    other[(sequences.split != TRAIN)[sequences.utterance]] += 100.0
    held = replace(sequences, latents=other)
    a, b = (fit_conditioning(s, small_conditioning.model_copy(update={"ridges": (0.1,)}), 0) for s in (sequences, held))
    np.testing.assert_array_equal(a.linear.weight, b.linear.weight)
    for left, right in zip(a.conditions, b.conditions, strict=True):
        if left.centroids is not None:
            np.testing.assert_array_equal(left.centroids, right.centroids)


def test_prediction_strength_tells_clusters_from_a_cloud():
    generator = np.random.default_rng(0)
    assert prediction_strength(blobs(800, 0)[0], 4, generator)["min"] > 0.9
    cloud = prediction_strength(generator.standard_normal((800, 2)), 8, generator)
    assert cloud["min"] < 0.7


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lags": (2, 1)}, "lags"),
        ({"window": 0}, "window"),
        ({"conditions": {"c": {"kind": "mean_vq"}}}, "n_clusters"),
        ({"conditions": {"c": {"kind": "pca_quartile", "n_components": 2, "n_clusters": 4}}}, "n_components"),
        ({"clusters": 3}, "clusters"),
    ],
)
def test_impossible_settings_are_refused_by_name(small_conditioning, change, words):
    values = small_conditioning.model_dump(exclude_none=True) | change
    with pytest.raises(ConfigError, match=words):
        parse_section("structure.conditioning", values, ConditioningSettings)
