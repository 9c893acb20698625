from dataclasses import replace

import numpy as np
import pytest
import torch

from soundgate.tracks.transfer.style.descriptor import descriptor32
from soundgate.tracks.transfer.style.measures import measure_style
from soundgate.tracks.transfer.style.targets import StyleSettings, StyleTargets, fit_targets
from soundgate.tracks.transfer.style.vectors import centroid, unit
from tests.tracks.transfer.planted import planted_cache

SETTINGS = StyleSettings(
    descriptor_weight=1, lda=True, inlier_fraction=0.9, exemplar_noise=0.02, n_subsets=5, n_bootstrap=200
)


@pytest.fixture(scope="module")
def cache():
    return planted_cache()


def style_vectors(cache, separation=3.0, seed=0):
    generator = np.random.default_rng(seed)
    directions = unit(generator.standard_normal((4, 128)))
    codes = np.maximum(cache.index["genre_code"].to_numpy(), 0)
    return unit(separation * directions[codes] + 0.1 * generator.standard_normal((len(codes), 128))).astype(np.float32)


def test_the_descriptor_is_means_and_deviations_of_sixteen_bands():
    mel = torch.zeros(96, 10)
    mel[0] = -20
    mel[95, ::2] = -10
    values = descriptor32(mel)
    assert values.shape == (32,) and float(values[0]) == -20 and float(values[15]) == -5
    assert float(values[31]) == pytest.approx(5, rel=1e-4) and float(values[16]) == pytest.approx(0, abs=1e-3)


def by_source(cache):
    """Return the cache with a genre of its own for each genre and source: four of them."""
    index = cache.index.copy()
    music = index["is_music"]
    index.loc[music, "genre"] += "-" + index.loc[music, "source"]
    index.loc[music, "genre_code"] = 2 * index["genre_code"] + index["source_code"]
    return replace(cache, index=index)


@pytest.mark.parametrize(("lda", "dim"), [(True, 3), (False, 160)])
def test_projecting_an_item_again_gives_its_target(cache, lda, dim):
    cache = by_source(cache)
    style = style_vectors(cache)
    targets = fit_targets(SETTINGS.model_copy(update={"lda": lda}), cache, style)
    rows = cache.rows("test")
    again = targets.project(torch.from_numpy(style[rows]), cache.batch(rows, n_frames=256))
    assert targets.dim == dim
    np.testing.assert_allclose(again.numpy(), targets.targets[rows], atol=1e-4)


def test_with_two_genres_a_target_has_a_gradient(cache):
    style = style_vectors(cache)
    targets = fit_targets(SETTINGS, cache, style)
    rows = cache.rows("test")
    asked = torch.from_numpy(style[rows]).requires_grad_(True)
    made = targets.project(asked, cache.batch(rows, n_frames=256))
    other = torch.from_numpy(targets.centroids[1 - cache.index["genre_code"].to_numpy()[rows]])
    (made * other).sum().backward()
    assert targets.dim == 160 and asked.grad.abs().max() > 1e-3


def test_both_blocks_weigh_the_same(cache):
    targets = fit_targets(SETTINGS.model_copy(update={"lda": False}), cache, style_vectors(cache))
    values = targets.targets[cache.rows()]
    np.testing.assert_allclose(
        np.linalg.norm(values[:, :128], axis=1), np.linalg.norm(values[:, 128:], axis=1), rtol=1e-4
    )


def test_the_centroid_leaves_outliers_out():
    own = unit(np.array([[1.0, 0.01], [1.0, -0.01], [1.0, 0.0], [-0.2, 1.0]]))
    assert centroid(own, 0.75) @ [1, 0] > 0.9999 > centroid(own) @ [1, 0]


def test_conditions_come_from_the_genre_asked_for(cache):
    targets = fit_targets(SETTINGS.model_copy(update={"lda": False}), cache, style_vectors(cache))
    codes = np.array([0, 1, 1, 0])
    for mode in ("centroid", "exemplar", "mix"):
        drawn = targets.condition(mode, codes, 0.5, np.random.default_rng(0))
        np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, rtol=1e-5)
        assert ((drawn @ targets.centroids.T).argmax(1) == codes).all()
    np.testing.assert_array_equal(targets.condition("centroid", codes, 0.5, None), targets.centroids[codes])
    mixed = targets.condition("mix", codes, 1.0, np.random.default_rng(0))
    np.testing.assert_allclose(mixed, targets.centroids[codes], atol=1e-6)


def test_styles_apart_pass_and_styles_shuffled_fail(cache):
    cache = by_source(cache)
    apart = measure_style(SETTINGS, cache, fit_targets(SETTINGS, cache, style_vectors(cache)), 0)["gates"]
    assert all((gate["value"] >= gate["threshold"]) == (gate["side"] == "above") for gate in apart.values()), apart
    blind = cache.index["genre_code"].to_numpy().copy()
    music = cache.rows()
    blind[music] = np.random.default_rng(0).permutation(blind[music])
    shuffled = type(cache)(cache.index.assign(genre_code=blind), cache.mels)
    plain = SETTINGS.model_copy(update={"lda": False})
    gates = measure_style(plain, shuffled, fit_targets(plain, shuffled, style_vectors(cache)), 0)["gates"]
    assert gates["silhouette"]["value"] < 0.45 and gates["centroid_distance"]["value"] < 3


def test_targets_survive_the_disk(cache, tmp_path):
    targets = fit_targets(SETTINGS, cache, style_vectors(cache))
    targets.save(tmp_path)
    again = StyleTargets.open(tmp_path)
    np.testing.assert_array_equal(again.targets, targets.targets)
    assert again.genres == ["bright", "dark"] and again.dim == targets.dim
    np.testing.assert_array_equal(
        again.condition("exemplar", np.array([0, 1]), 0.5, np.random.default_rng(3)),
        targets.condition("exemplar", np.array([0, 1]), 0.5, np.random.default_rng(3)),
    )
