"""Untrained networks whose activations have a sensible scale, to stand in for trained ones in tests."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from soundgate.codecs.weights import keyed_random_state


@torch.no_grad()
def scale_convolutions(network: nn.Module, forward: Callable[[], Tensor], rms: float = 1.0) -> Tensor:
    """Rescale a network's convolutions, one after the other, to outputs of unit RMS on one example.

    PyTorch's default initial weights lose a factor in every layer: fifteen convolutions later the input is
    gone and biases are all that is left. Biases are set to zero and each convolution is divided by its
    output's RMS.

    Args:
        network: whose `Conv1d` and `ConvTranspose1d` modules are changed in place, weight-normalised ones
            too.
        forward: runs the network once on an example.
        rms: of the network's output.

    Returns:
        What ``forward`` returned, as rescaled.

    Source: Mishkin and Matas 2016, "All you need is a good init" (LSUV), without the orthogonal start.
    """
    called: list[nn.Module] = []
    hooks = []
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            if module.bias is not None:
                module.bias.zero_()
            hook = module.register_forward_hook(lambda conv, _, output: _to_unit_rms(conv, output, called))
            hooks.append(hook)
    try:
        output = forward()
    finally:
        for hook in hooks:
            hook.remove()
    _scale_weight(called[-1], rms)
    return output * rms


@torch.no_grad()
def fill_codebooks(codebooks: list[Tensor], name: str) -> None:
    """Fill codebooks [M, D] in place with normal draws, each half as wide as the one before, down to 1/8.

    Args:
        codebooks: the first one's entries get unit standard deviation.
        name: what the draws are keyed by.
    """
    with keyed_random_state(f"{name}-codebooks"):
        for stage, codebook in enumerate(codebooks):
            codebook.copy_(torch.randn(codebook.shape) * 2.0 ** -min(stage, 3))


def example(name: str, *shape: int) -> Tensor:
    """Return unit normal draws of a shape, keyed by a name."""
    with keyed_random_state(f"{name}-example"):
        return torch.randn(shape)


def _to_unit_rms(convolution: nn.Module, output: Tensor, called: list[nn.Module]) -> Tensor:
    called.append(convolution)
    scale = 1 / math.sqrt(output.square().mean().item())
    _scale_weight(convolution, scale)
    return output * scale


def _scale_weight(convolution: nn.Module, scale: float) -> None:
    # Under weight normalisation the weight is recomputed from its norm g and direction v.
    norm = getattr(convolution, "weight_g", None)
    (convolution.weight if norm is None else norm).mul_(scale)
