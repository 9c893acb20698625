"""What goes into networks and comes out of them in a training step, read by hooks: nothing of it is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.utils.hooks import RemovableHandle

from soundgate.runtime.arithmetic import square_root

_BY_MODE = (_BatchNorm, _DropoutNd)


class Traffic:
    """Looks at the first call with gradients of every network once armed.

    Args:
        modules: networks by name.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._modules = {name: module for name, module in modules.items() if any(True for _ in module.parameters())}
        self._handles: list[RemovableHandle] = []
        self._figures: dict[str, float | Tensor] = {}
        self._items: dict[str, Tensor] = {}

    def arm(self) -> None:
        """Look at the next call of every network."""
        self._handles = [
            module.register_forward_hook(partial(self._see, name), with_kwargs=True)
            for name, module in self._modules.items()
        ]

    @torch.no_grad()
    def note(self, name: str, items: Tensor) -> None:
        """Take note of a network's input, or of another tensor of items [B, ...], until `collect`."""
        flat = items.detach().flatten(1).double()
        self._items[name] = torch.stack([flat.sum(dim=1), flat.square().sum(dim=1)], dim=1).cpu()
        self._figures[f"input/{name}"] = square_root(flat.square().mean())

    def collect(self) -> dict[str, float]:
        """Return what was seen since `arm`.

        Returns:
            For each network that was called: ``input/...``, root mean square of its first input; ``print/...``, a
            number that is the same where that is the same; ``copies/...``, share of its items that are equal to an
            earlier one; ``spread/...``, variance between items of the first output over its variance at all;
            ``evaluating/...``, share of dropout and batch normalisation in evaluation mode; ``attached/...``, 1 where
            gradients flow on to another network through an input, 0 otherwise.
        """
        figures = {name: float(value) for name, value in self._figures.items()}
        for name, items in self._items.items():
            prints = [tuple(row) for row in items.tolist()]
            figures[f"copies/{name}"] = 1 - len(set(prints)) / len(prints)
            figures[f"print/{name}"] = sum(place * sum(own) for place, own in enumerate(prints, 1))
        self.close()
        return figures

    def close(self) -> None:
        """Take all hooks away, and forget what was seen."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._figures, self._items = [], {}, {}

    @torch.no_grad()
    def _see(self, name: str, module: nn.Module, inputs: tuple, named: dict, output: object) -> None:
        given = next(_batches((inputs, named)), None)
        if given is None:
            return
        flows = any(batch.grad_fn is not None for batch in _batches((inputs, named)))
        if f"attached/{name}" in self._figures:
            self._figures[f"attached/{name}"] = max(self._figures[f"attached/{name}"], float(flows))
            return
        made = next(_batches(output), None)
        if made is None or made.grad_fn is None:
            return
        self._figures[f"attached/{name}"] = float(flows)
        self.note(name, given)
        if len(made) == len(given):
            values = made.detach().flatten(1).float()
            self._figures[f"spread/{name}"] = values.var(dim=0).mean() / values.var().clamp(min=1e-30)
        moody = [part.training for part in module.modules() if isinstance(part, _BY_MODE)]
        if moody:
            self._figures[f"evaluating/{name}"] = 1 - sum(moody) / len(moody)


def _batches(value: object) -> Iterator[Tensor]:
    """Yield the tensors of several items that are somewhere in a call's arguments or result, in their order."""
    if isinstance(value, Tensor):
        if value.is_floating_point() and value.ndim >= 2 and len(value) > 1:
            yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _batches(part)
    elif isinstance(value, Mapping):
        yield from _batches(tuple(value.values()))
