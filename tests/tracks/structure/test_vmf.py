import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import quad

from soundgate.tracks.structure.dynamics.families import StepStatistics, VmfHead, VmfLogNormal
from soundgate.tracks.structure.dynamics.vmf import concentration, log_normaliser, mean_resultant, sample


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


@pytest.mark.parametrize("kappa", [0.1, 3.0, 40.0])
def test_the_density_of_directions_integrates_to_one(kappa):
    circle = log_normaliser(tensor(kappa), 2).item()
    assert quad(lambda a: math.exp(circle + kappa * math.cos(a)), -math.pi, math.pi)[0] == pytest.approx(1, rel=1e-9)
    # On the sphere rings of height z have area 2 pi dz; in D dimensions the surface of a sphere of D - 1.
    for dim in (3, 8):
        ring = 2 * math.pi ** ((dim - 1) / 2) / math.gamma((dim - 1) / 2)
        log_c = log_normaliser(tensor(kappa), dim).item()
        z, weight = np.polynomial.legendre.leggauss(200)
        total = (weight * ring * (1 - z * z) ** ((dim - 3) / 2) * np.exp(log_c + kappa * z)).sum()
        assert total == pytest.approx(1, rel=1e-5)


def test_the_density_of_steps_integrates_to_one_over_the_plane():
    n_angles, log_radius = 400, torch.linspace(-2.0, 2.6, 800, dtype=torch.float64)
    angle = torch.arange(n_angles, dtype=torch.float64) * 2 * math.pi / n_angles
    radius = log_radius.exp()
    step = (radius[:, None, None] * torch.stack([angle.cos(), angle.sin()], 1)).reshape(-1, 2)
    full = torch.ones(len(step), dtype=torch.float64)
    direction = tensor(0.6, 0.8).expand(len(step), 2)
    nll = VmfLogNormal(direction, 2.0 * full, 0.3 * full, 0.4 * full).nll(step)
    area = (radius**2)[:, None] * (log_radius[1] - log_radius[0]) * (2 * math.pi / n_angles)
    assert float((torch.exp(-nll).reshape(-1, n_angles) * area).sum()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("dim", "kappa"), [(2, 1.0), (3, 5.0), (3, 1e4), (128, 300.0), (512, 20.0), (512, 1e4)])
def test_drawn_directions_have_the_concentration_they_were_drawn_with(dim, kappa):
    n = 20_000 if dim < 10 else 3000
    generator = torch.Generator().manual_seed(dim)
    mean = torch.nn.functional.normalize(torch.randn(1, dim, generator=generator, dtype=torch.float64), dim=1)
    drawn = sample(mean.expand(n, dim), torch.full((n,), kappa, dtype=torch.float64), generator)
    assert torch.allclose(drawn.norm(dim=1), torch.ones(n, dtype=torch.float64))
    cosine = (drawn * mean).sum(1)
    expected, error = mean_resultant(tensor(kappa), dim).item(), float(cosine.std()) / math.sqrt(n)
    assert abs(float(cosine.mean()) - expected) < 4 * error
    # The spread too: E[cos^2] = 1 - (D - 1) A / kappa.
    square = cosine.square()
    assert abs(float(square.mean()) - (1 - (dim - 1) * expected / kappa)) < 4 * float(square.std()) / math.sqrt(n)
    # Every direction around the mean is as likely as any other.
    around = drawn - cosine[:, None] * mean
    spread = float(around.square().sum(1).mean()) / dim
    assert float(around.mean(0).abs().max()) < 5 * math.sqrt(spread / n) + 1e-12


def test_the_first_guess_of_the_concentration_is_near():
    for dim, kappa in ((3, 2.0), (128, 60.0), (512, 1000.0)):
        assert concentration(mean_resultant(tensor(kappa), dim).item(), dim) == pytest.approx(kappa, rel=0.1)


def test_a_gaussian_is_not_beaten_on_gaussian_steps():
    generator = torch.Generator().manual_seed(0)
    dim, n = 16, 20_000
    train, held = torch.randn(2, n, dim, generator=generator)
    steps = StepStatistics.of(train)
    directional = VmfHead(steps)(torch.zeros(n, dim + 3))
    gaussian = (0.5 * ((held - steps.mean) / steps.std).square() + steps.std.log()).double().sum(1)
    gaussian = gaussian + 0.5 * dim * math.log(2 * math.pi)
    gain = gaussian - directional.nll(held)
    half = 1.96 * float(gain.std()) / math.sqrt(n)
    assert -0.1 < float(gain.mean()) <= half
    # Both are densities of the same variable: stretched by c, each costs D log c nats more.
    stretched = VmfHead(StepStatistics.of(100 * train))(torch.zeros(n, dim + 3)).nll(100 * held)
    assert torch.allclose(
        stretched - directional.nll(held), torch.full((n,), dim * math.log(100.0)).double(), atol=1e-4
    )


def test_bounded_outputs_begin_at_the_train_statistics_and_no_gradient_ends():
    steps = StepStatistics.of(torch.randn(5000, 6) + 0.5)
    head = VmfHead(steps)
    start = head(torch.zeros(1, 9))
    assert start.log_mean.item() == pytest.approx(steps.log_mean, abs=1e-6)
    assert start.log_std.item() == pytest.approx(steps.log_std, rel=1e-6)
    assert start.kappa.item() == pytest.approx(concentration(float(steps.direction.norm()), 6), rel=1e-6)
    for size in (-30.0, 30.0):
        outputs = torch.full((1, 9), size, requires_grad=True)
        said = head(outputs)
        step = torch.full((1, 6), 0.3)
        assert torch.isfinite(said.nll(step)).all()
        assert 1e-3 <= said.kappa.item() <= 1e5
    outputs = torch.full((1, 9), 5.0, requires_grad=True)
    head(outputs).nll(torch.randn(1, 6)).sum().backward()
    assert (outputs.grad[0, 6:] != 0).all()
