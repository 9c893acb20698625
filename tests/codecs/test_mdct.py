"""The MDCT against its definition, its inverse, and signals whose coefficients are known."""

import math

import numpy as np
import pytest
import torch

from soundgate.audio.mdct import imdct, mdct, mdct_basis, mdct_window


@pytest.mark.parametrize("window", ["sine", "vorbis"])
def test_window_is_power_complementary_and_symmetric(window):
    curve = mdct_window(320, window, torch.float64)
    torch.testing.assert_close(curve[:320] ** 2 + curve[320:] ** 2, torch.ones(320, dtype=torch.float64))
    torch.testing.assert_close(curve, curve.flip(0))


def test_window_values():
    assert mdct_window(2)[0] == pytest.approx(math.sin(math.pi / 8))
    assert mdct_window(2, "vorbis")[0] == pytest.approx(math.sin(math.pi / 2 * math.sin(math.pi / 8) ** 2))


def test_equals_the_definition_summed_by_hand():
    hop, n_frames = 8, 4
    wav = np.random.default_rng(0).standard_normal(hop * n_frames)
    padded = np.concatenate([np.zeros(hop // 2), wav, np.zeros(hop // 2)])
    expected = np.zeros((n_frames, hop))
    for t in range(n_frames):
        for k in range(hop):
            for n in range(2 * hop):
                value = math.sin(math.pi * (n + 0.5) / (2 * hop)) * padded[t * hop + n]
                expected[t, k] += value * math.cos(math.pi / hop * (n + 0.5 + hop / 2) * (k + 0.5))
    found = mdct(torch.from_numpy(wav), mdct_basis(hop, dtype=torch.float64))
    np.testing.assert_allclose(found.numpy(), expected * math.sqrt(2 / hop), atol=1e-12)


@pytest.mark.parametrize("window", ["sine", "vorbis"])
@pytest.mark.parametrize("n_frames", [1, 2, 7])
def test_reconstruction_is_exact_to_both_edges(window, n_frames):
    basis = mdct_basis(320, window, torch.float64)
    wav = torch.randn(2, 3, n_frames * 320, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(imdct(mdct(wav, basis), basis), wav, rtol=0, atol=1e-12)


def test_basis_is_orthonormal_across_frames():
    hop = 16
    basis = mdct_basis(hop, dtype=torch.float64)
    frames = torch.zeros(3 * hop, 4 * hop, dtype=torch.float64)
    for t in range(3):
        frames[t * hop : (t + 1) * hop, t * hop : (t + 2) * hop] = basis.T
    torch.testing.assert_close(frames @ frames.T, torch.eye(3 * hop, dtype=torch.float64))


def test_a_tone_falls_into_its_own_coefficient():
    hop, k = 320, 40
    tone = torch.sin(math.pi / hop * (k + 0.5) * torch.arange(10 * hop, dtype=torch.float64))
    energy = mdct(tone, mdct_basis(hop, dtype=torch.float64))[2:-2].square().mean(0)
    assert energy.argmax() == k
    assert energy[k - 3 : k + 4].sum() / energy.sum() > 0.999


def test_silence_impulse_and_linearity():
    basis = mdct_basis(16, dtype=torch.float64)
    impulse = torch.zeros(64, dtype=torch.float64)
    impulse[24] = 1.0
    coefficients = mdct(impulse, basis)
    # Sample 24 is in the middle of hop 1: at the peak of frame 1's window and just inside frame 2's.
    assert coefficients.norm(dim=-1)[[0, 3]].tolist() == [0.0, 0.0]
    torch.testing.assert_close(coefficients[1:3], basis[[16, 0]])
    assert mdct(torch.zeros(64, dtype=torch.float64), basis).abs().max() == 0
    torch.testing.assert_close(mdct(3 * impulse, basis), 3 * coefficients)


def test_gradient_of_the_inverse_is_the_transform_inside():
    basis = mdct_basis(16, dtype=torch.float64)
    wav = torch.randn(1, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    coefficients = torch.zeros(1, 6, 16, dtype=torch.float64, requires_grad=True)
    (imdct(coefficients, basis) * wav).sum().backward()
    torch.testing.assert_close(coefficients.grad[:, 1:-1], mdct(wav, basis)[:, 1:-1])


def test_wrong_lengths_refused():
    with pytest.raises(ValueError, match="even number"):
        mdct_basis(15)
    for n_samples in (0, 17):
        with pytest.raises(ValueError, match="whole hops of 16"):
            mdct(torch.zeros(n_samples), mdct_basis(16))
