import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import quad

from soundgate.tracks.structure.dynamics import power_spherical, vmf
from soundgate.tracks.structure.dynamics.families import PowerSphericalLogNormal, StepStatistics, VmfLogNormal
from soundgate.tracks.structure.dynamics.heads import DirectionHead
from soundgate.tracks.structure.dynamics.vmf import log_normaliser

DIRECTIONS = pytest.mark.parametrize("directions", [vmf, power_spherical])


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("dim", [2, 3, 128, 512])
def test_the_normaliser_and_its_gradient_are_those_of_fifty_digits(dim):
    kappas = np.logspace(-3, 5, 33)
    kappa = torch.tensor(kappas, requires_grad=True)
    value = log_normaliser(kappa, dim)
    value.sum().backward()
    with mpmath.workdps(50):
        order = mpmath.mpf(dim) / 2 - 1
        for k, ours, gradient in zip(kappas, value.tolist(), kappa.grad.tolist(), strict=True):
            k = mpmath.mpf(float(k))
            bessel = mpmath.besseli(order, k)
            true = order * mpmath.log(k) - mpmath.mpf(dim) / 2 * mpmath.log(2 * mpmath.pi) - mpmath.log(bessel)
            ratio = mpmath.besseli(order + 1, k) / bessel
            assert abs((ours - true) / true) < 1e-8
            assert abs((gradient + ratio) / ratio) < 1e-8


@DIRECTIONS
@pytest.mark.parametrize("kappa", [0.1, 3.0, 40.0])
def test_the_density_of_directions_integrates_to_one(kappa, directions):
    def density(cosine, dim):
        return directions.log_density(torch.as_tensor(cosine), tensor(kappa), dim).exp().numpy()

    circle = quad(lambda a: float(density(math.cos(a), 2)[0]), -math.pi, math.pi)
    assert circle[0] == pytest.approx(1, rel=1e-4)
    # On the sphere rings of height z have area 2 pi dz; in D dimensions the surface of a sphere of D - 1.
    for dim in (3, 8):
        ring = 2 * math.pi ** ((dim - 1) / 2) / math.gamma((dim - 1) / 2)
        z, weight = np.polynomial.legendre.leggauss(200)
        total = (weight * ring * (1 - z * z) ** ((dim - 3) / 2) * density(z, dim)).sum()
        assert total == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("family", [VmfLogNormal, PowerSphericalLogNormal])
def test_the_density_of_steps_integrates_to_one_over_the_plane(family):
    n_angles, log_radius = 400, torch.linspace(-2.0, 2.6, 800, dtype=torch.float64)
    angle = torch.arange(n_angles, dtype=torch.float64) * 2 * math.pi / n_angles
    radius = log_radius.exp()
    step = (radius[:, None, None] * torch.stack([angle.cos(), angle.sin()], 1)).reshape(-1, 2)
    full = torch.ones(len(step), dtype=torch.float64)
    direction = tensor(0.6, 0.8).expand(len(step), 2)
    nll = family(torch.tensor([1.5, 0.8]), direction, 2.0 * full, 0.3 * full, 0.4 * full).nll(step)
    area = (radius**2)[:, None] * (log_radius[1] - log_radius[0]) * (2 * math.pi / n_angles)
    assert float((torch.exp(-nll).reshape(-1, n_angles) * area).sum()) == pytest.approx(1, abs=1e-6)


@DIRECTIONS
@pytest.mark.parametrize(("dim", "kappa"), [(2, 1.0), (3, 5.0), (3, 1e4), (128, 300.0), (512, 20.0), (512, 1e4)])
def test_drawn_directions_have_the_concentration_they_were_drawn_with(dim, kappa, directions):
    n = 20_000 if dim < 10 else 3000
    generator = torch.Generator().manual_seed(dim)
    mean = torch.nn.functional.normalize(torch.randn(1, dim, generator=generator, dtype=torch.float64), dim=1)
    drawn = directions.sample(mean.expand(n, dim), torch.full((n,), kappa, dtype=torch.float64), generator)
    assert torch.allclose(drawn.norm(dim=1), torch.ones(n, dtype=torch.float64))
    cosine = (drawn * mean).sum(1)
    expected, error = directions.mean_resultant(tensor(kappa), dim).item(), float(cosine.std()) / math.sqrt(n)
    assert abs(float(cosine.mean()) - expected) < 4 * error
    # The spread too: E[cos^2] = 1 - (D - 1) A / kappa for vMF, and a beta distribution's for the other.
    square = cosine.square()
    alpha, beta = (dim - 1) / 2 + kappa, (dim - 1) / 2
    variance = 4 * alpha * beta / ((alpha + beta) ** 2 * (alpha + beta + 1))
    true = 1 - (dim - 1) * expected / kappa if directions is vmf else variance + expected**2
    assert abs(float(square.mean()) - true) < 4 * float(square.std()) / math.sqrt(n)
    # Every direction around the mean is as likely as any other.
    around = drawn - cosine[:, None] * mean
    spread = float(around.square().sum(1).mean()) / dim
    assert float(around.mean(0).abs().max()) < 5 * math.sqrt(spread / n) + 1e-12


@DIRECTIONS
def test_the_first_guess_of_the_concentration_is_near(directions):
    for dim, kappa in ((3, 2.0), (128, 60.0), (512, 1000.0)):
        guess = directions.concentration(directions.mean_resultant(tensor(kappa), dim), dim)
        assert guess.item() == pytest.approx(kappa, rel=0.1)


def linear_steps(n, dim, seed=0):
    """Return what is expected of Gaussian steps, the steps, and the scale of what is left."""
    generator = torch.Generator().manual_seed(seed)
    expected, noise = torch.randn(2, n, dim, generator=generator)
    scale = torch.linspace(0.5, 2.0, dim)
    return expected * scale, (expected + noise) * scale, scale


@pytest.mark.parametrize("family", [VmfLogNormal, PowerSphericalLogNormal])
def test_an_untrained_head_is_not_far_from_the_linear_model_and_never_better_on_gaussian_steps(family):
    dim, n = 64, 5000
    expected, steps, scale = linear_steps(n, dim)
    head = DirectionHead(family, scale, (0.0, 1 / math.sqrt(2 * dim)))
    directional = head(torch.zeros(n, dim + 3), expected).nll(steps)
    gaussian = (0.5 * ((steps - expected) / scale).square() + scale.log()).double().sum(1)
    gain = (gaussian + 0.5 * dim * math.log(2 * math.pi) - directional) / dim
    assert -0.1 < float(gain.mean()) <= 0
    # A density of the step itself: stretched by c, it costs D log c nats more.
    stretched = DirectionHead(family, 100 * scale, (0.0, 1 / math.sqrt(2 * dim)))
    more = stretched(torch.zeros(n, dim + 3), 100 * expected).nll(100 * steps) - directional
    assert torch.allclose(more, torch.full((n,), dim * math.log(100.0)).double(), atol=1e-3)


def test_a_gaussian_is_not_beaten_on_gaussian_steps():
    generator = torch.Generator().manual_seed(0)
    dim, n = 16, 20_000
    train, held = torch.randn(2, n, dim, generator=generator)
    steps = StepStatistics.of(train)
    head = DirectionHead(VmfLogNormal, steps.std, (0.0, 1 / math.sqrt(2 * dim)))
    directional = head(torch.zeros(n, dim + 3), steps.mean.expand(n, dim))
    gaussian = (0.5 * ((held - steps.mean) / steps.std).square() + steps.std.log()).double().sum(1)
    gain = gaussian + 0.5 * dim * math.log(2 * math.pi) - directional.nll(held)
    assert -0.1 < float(gain.mean()) <= 1.96 * float(gain.std()) / math.sqrt(n)


@pytest.mark.parametrize("family", [VmfLogNormal, PowerSphericalLogNormal])
def test_bounded_outputs_begin_at_the_linear_model_and_no_gradient_ends(family):
    head = DirectionHead(family, torch.full((6,), 2.0), (0.1, 0.5))
    expected = torch.full((1, 6), 2.0)
    start = head(torch.zeros(1, 9), expected)
    # In units of the scale the step expected is 1 in each of 6 dimensions, beside errors of as much.
    assert start.log_mean.item() == pytest.approx(0.5 * math.log(12) + 0.1, abs=1e-6)
    assert start.log_std.item() == pytest.approx(0.5, rel=1e-6)
    assert start.resultant().item() == pytest.approx(math.sqrt(0.5), rel=0.1)
    assert torch.allclose(start.direction, torch.full((1, 6), 6**-0.5))
    for size in (-30.0, 30.0):
        said = head(torch.full((1, 9), size, requires_grad=True), expected)
        assert torch.isfinite(said.nll(torch.full((1, 6), 0.3))).all()
        assert 1e-3 <= said.kappa.item() <= 1e5
    outputs = torch.full((1, 9), 5.0, requires_grad=True)
    head(outputs, expected).nll(torch.randn(1, 6)).sum().backward()
    assert (outputs.grad[0, 6:] != 0).all()
