"""What every embedder keeps, tested on every embedder."""

import numpy as np
import pytest
import torch

from soundgate.embeddings.registry import EMBEDDER_NAMES, load_embedder
from soundgate.runtime.errors import ConfigError


@pytest.fixture
def sounds(noise):
    """Waveforms of several lengths and kinds, silence and a single sample among them."""
    sine = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    return [
        noise("a"),
        noise("b", 70_001),
        np.zeros(144_000, np.float32),
        np.ones(1, np.float32),
        sine.astype(np.float32),
        np.zeros(1, np.float32),
    ]


def test_vectors_are_finite_float32_of_512_dimensions(embedder, sounds):
    vectors = embedder.embed(sounds)
    assert vectors.shape == (len(sounds), 512) and vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    assert embedder.dim == 512 and embedder.sample_rate == 48_000


def test_batch_equals_single_and_order_does_not_matter(embedder, sounds):
    batch = embedder.embed(sounds)
    single = np.concatenate([embedder.embed([wav]) for wav in sounds])
    np.testing.assert_allclose(batch, single, atol=1e-5, rtol=0)
    np.testing.assert_allclose(embedder.embed(sounds[::-1])[::-1], single, atol=1e-5, rtol=0)


def test_another_load_and_other_global_states_give_the_same_bytes(case, cases, embedder, sounds):
    first = embedder.embed(sounds[:2])
    np.random.seed(5)
    torch.manual_seed(5)
    before = np.random.get_state()[1].copy(), torch.random.get_rng_state()
    again = load_embedder(*cases[case])
    state = torch.random.get_rng_state()
    assert torch.equal(state, before[1])
    np.testing.assert_array_equal(again.embed(sounds[:2]), first)


def test_different_sounds_get_different_vectors(embedder, sounds):
    noisy, silent, sine = embedder.embed([sounds[0], sounds[2], sounds[4]])
    assert np.linalg.norm(noisy - silent) > 1e-3 and np.linalg.norm(noisy - sine) > 1e-3


def test_inputs_are_not_changed(embedder, noise):
    wav = noise("a", 50_000)
    embedder.embed([wav])
    np.testing.assert_array_equal(wav, noise("a", 50_000))


def test_no_waveforms_give_no_vectors(embedder):
    assert embedder.embed([]).shape == (0, 512)


def test_wrong_waveforms_are_refused(embedder):
    good = np.zeros(10, np.float32)
    with pytest.raises(TypeError, match=r"wavs\[1\]: expected float32, found float64"):
        embedder.embed([good, np.zeros(10)])
    for shape in ((0,), (1, 10)):
        with pytest.raises(ValueError, match=r"wavs\[0\]: expected \[T\]"):
            embedder.embed([np.zeros(shape, np.float32)])
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="finite values, found 1"):
            embedder.embed([np.array([0, value], np.float32)])


def test_the_card_says_what_the_vectors_depend_on(case, cases, embedder):
    card = embedder.card()
    assert {"name", "model", "revision", "sample_rate"} == set(card)
    assert card["name"] == cases[case][0] == embedder.name
    assert card["sample_rate"] == 48_000


def test_settings_are_refused_by_name():
    assert EMBEDDER_NAMES == ("acoustic", "clap")
    with pytest.raises(ConfigError, match="one of acoustic, clap; found 'openl3'"):
        load_embedder("openl3", {})
    with pytest.raises(ConfigError, match="embedder.clap.layer"):
        load_embedder("clap", {"layer": 3})
    with pytest.raises(ConfigError, match="embedder.acoustic.weights"):
        load_embedder("acoustic", {"weights": "hub"})
