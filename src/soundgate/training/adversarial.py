"""What every critic and its opponent minimise, whatever they look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from soundgate.runtime.arithmetic import square_root

# One critic's logits, of any shape that begins with the batch, or those of several.
Logits = Tensor | Sequence[Tensor]


class Verdict(NamedTuple):
    """What a critic says.

    Args:
        logits: of each sub-critic, [B, positions ...]; above 0 for real.
        features: activations of all layers, each [B, C, ..., time].
    """

    logits: list[Tensor]
    features: list[Tensor]


def hinge_discriminator(real_logits: Logits, fake_logits: Logits) -> Tensor:
    """Return the critics' hinge loss, averaged over critics: 2 where they know nothing, 0 where they know all.

    Source: Lim and Ye 2017, "Geometric GAN", eq. 15.
    """
    pairs = zip(_listed(real_logits), _listed(fake_logits), strict=True)
    return torch.stack([relu(1 - real).mean() + relu(1 + fake).mean() for real, fake in pairs]).mean()


def hinge_generator(fake_logits: Logits) -> Tensor:
    """Return the generator's side of the hinge loss, averaged over critics."""
    return torch.stack([-fake.mean() for fake in _listed(fake_logits)]).mean()


def least_squares_discriminator(real_logits: Logits, fake_logits: Logits) -> Tensor:
    """Return the critics' squared distance from 1 for real and 0 for made, averaged over critics.

    Source: Mao et al. 2017, "Least squares generative adversarial networks", eq. 9.
    """
    pairs = zip(_listed(real_logits), _listed(fake_logits), strict=True)
    return torch.stack([(real - 1).square().mean() + fake.square().mean() for real, fake in pairs]).mean()


def least_squares_generator(fake_logits: Logits) -> Tensor:
    """Return the generator's side of the least-squares loss, averaged over critics."""
    return torch.stack([(fake - 1).square().mean() for fake in _listed(fake_logits)]).mean()


def r1_penalty(real_logits: Logits, real_inputs: Tensor) -> Tensor:
    """Return half the squared gradient of the critics at real inputs; the caller multiplies by gamma.

    Args:
        real_logits: each critic's are averaged over everything but the batch, then the critics are summed.
        real_inputs: [B, ...], what the logits were computed from, requiring gradients.

    Source: Mescheder et al. 2018, "Which training methods for GANs do actually converge?", eq. 9.
    """
    scores = torch.stack([logits.flatten(1).mean(dim=1).sum() for logits in _listed(real_logits)]).sum()
    (gradient,) = torch.autograd.grad(scores, real_inputs, create_graph=True)
    return 0.5 * gradient.square().flatten(1).sum(dim=1).mean()


def feature_matching(real_features: Sequence[Tensor], fake_features: Sequence[Tensor]) -> Tensor:
    """Return the mean over layers of the L1 distance between a critic's activations; for paired items.

    No gradient goes into the real ones.

    Source: Larsen et al. 2016; Kumar et al. 2019, MelGAN, eq. 4.
    """
    pairs = zip(real_features, fake_features, strict=True)
    return torch.stack([(fake - real.detach()).abs().mean() for real, fake in pairs]).mean()


def moment_matching(real_features: Sequence[Tensor], fake_features: Sequence[Tensor], groups: Tensor) -> Tensor:
    """Return how far a critic's activations differ on average, group by group; for items that are no pairs.

    Args:
        real_features: each [B, C, ...]; no gradient goes into them.
        fake_features: of the same shapes.
        groups: int64 [B]: only means over items of one group (a genre) are compared.

    Returns:
        The mean over layers of the L1 distance between the groups' means over items of each activation's mean and
        standard deviation over the last axis (time).

    Source: Salimans et al. 2016, section 3.1 (expectations instead of pairs).
    Differs: L1 for the square, an expectation for each group, and the spread over time, without which what is
        blurred and what moves are the same.
    """
    layers = []
    for real, fake in zip(real_features, fake_features, strict=True):
        wanted, made = (_spread_over_time(values) for values in (real.detach(), fake))
        layers.append(group_means(made - wanted, groups).abs().mean())
    return torch.stack(layers).mean()


def group_means(values: Tensor, groups: Tensor) -> Tensor:
    """Return the mean of ``values`` [B, ...] over each group, in ascending order of the groups: [n_groups, ...]."""
    members = nn.functional.one_hot(groups.unique(return_inverse=True)[1]).to(values.dtype)
    return torch.tensordot((members / members.sum(dim=0)).T, values, dims=1)


def _spread_over_time(features: Tensor) -> Tensor:
    """Return [B, 2, ...]: mean and standard deviation over the last axis."""
    # What never moves has no gradient of its square root.
    spread = square_root(features.var(dim=-1, correction=0) + 1e-6)
    return torch.stack([features.mean(dim=-1), spread], dim=1)


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, values: Tensor, scale: float) -> Tensor:
        context.scale = scale
        return values.view_as(values)

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return -context.scale * gradient, None


def reverse_gradient(values: Tensor, scale: float = 1.0) -> Tensor:
    """Pass values on unchanged and their gradients turned round.

    Args:
        values: any shape.
        scale: factor of the gradient.

    Source: Ganin et al. 2016, "Domain-adversarial training of neural networks", eq. 15.
    """
    return _Reversal.apply(values, scale)


def set_trainable(module: nn.Module, trainable: bool) -> None:
    """Let gradients flow into a module's weights, or only through them."""
    for parameter in module.parameters():
        parameter.requires_grad_(trainable)


def _listed(logits: Logits) -> Sequence[Tensor]:
    return [logits] if isinstance(logits, Tensor) else logits
