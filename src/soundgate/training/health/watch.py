"""Gradients and updates of one optimisation step, read by hooks: nothing of the training is touched."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from soundgate.training.health.parts import parts_of


class Watch:
    """Counts the steps of every optimiser and, once armed, measures the next one of each.

    Gradients are taken as ``backward`` leaves them, before clipping; the last ones before an optimiser's step count,
    so that another network's backward pass through this one does not.

    Args:
        modules: networks by name; with an optimiser or not.
        optimisers: by name; also as `accelerate` wraps them.
        losses: gives the losses of the present batch again, by name; is called before and after the steps that are
            measured, and changes nothing.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        optimisers: Mapping[str, Optimizer],
        losses: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self.modules, self.losses = modules, losses
        self.optimisers = {name: getattr(wrapped, "optimizer", wrapped) for name, wrapped in optimisers.items()}
        self._groups = _groups(modules)
        self._steps: Counter[str] = Counter()
        self._armed: dict[str, list[RemovableHandle]] = {}
        self._seen: dict[int, Tensor] = {}
        self._before: dict[str, list[tuple[nn.Parameter, Tensor]]] = {}
        self._gradients: dict[int, Tensor] = {}
        self._clipped: dict[int, Tensor] = {}
        self._changes: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self._losses: dict[str, Mapping[str, float]] = {}
        self._effects: dict[str, float] = {}
        self._handles = [
            handle
            for name, optimiser in self.optimisers.items()
            for handle in (
                optimiser.register_step_pre_hook(partial(self._before_step, name)),
                optimiser.register_step_post_hook(partial(self._after_step, name)),
            )
        ]

    @property
    def is_armed(self) -> bool:
        """Whether `arm` was called since the last `collect`."""
        return bool(self._armed or self._gradients or self._changes)

    def arm(self) -> None:
        """Measure the next step of every optimiser."""
        for name, optimiser in self.optimisers.items():
            self._armed[name] = [_watch_gradient(own, self._see) for own in _parameters(optimiser)]

    def collect(self) -> dict[str, float]:
        """Return what was measured since `arm`, and the steps of every optimiser since the last time.

        Returns:
            ``gradient/<network>[.<part>]``, before clipping; ``update/...`` where an optimiser of it took a step,
            ``parameter/...``, ``steps/<optimiser>``; of whole networks ``clipped/...``, the gradient's norm at the
            step over that before clipping, and ``shrink/...``, the cosine of the change with that of weights which
            shrink; ``effect/<loss>``, its relative change by the step; ``nonfinite/gradients`` and
            ``nonfinite/parameters``: tensors that hold values which are not finite.
        """
        norms = {id(own): _norm(own.detach()) for group in self._groups.values() for own in group}
        gradients = _to_host(self._gradients)
        parameters = _to_host(norms)
        clipped = _to_host(self._clipped)
        changes, sizes, along = (
            _to_host({own: found[place] for own, found in self._changes.items()}) for place in range(3)
        )
        figures = {f"effect/{name}": value for name, value in self._effects.items()}
        for name, group in self._groups.items():
            own = [id(parameter) for parameter in group]
            figures[f"parameter/{name}"] = _total(parameters, own)
            if any(one in gradients for one in own):
                figures[f"gradient/{name}"] = _total(gradients, own)
            if any(one in changes for one in own):
                figures[f"update/{name}"] = _total(changes, own) / max(_total(sizes, own), 1e-12)
            if "." in name:
                continue
            if any(one in clipped for one in own) and figures[f"gradient/{name}"]:
                figures[f"clipped/{name}"] = _total(clipped, own) / figures[f"gradient/{name}"]
            if size := _total(changes, own) * _total(sizes, own):
                figures[f"shrink/{name}"] = -sum(along[one] for one in own if one in along) / size
        figures |= {f"steps/{name}": float(self._steps[name]) for name in self.optimisers}
        for kind, found in (("gradients", gradients), ("parameters", parameters)):
            figures[f"nonfinite/{kind}"] = float(sum(not math.isfinite(value) for value in found.values()))
        self._reset()
        return figures

    def close(self) -> None:
        """Take all hooks away."""
        self._reset()
        for handle in self._handles:
            handle.remove()

    def _reset(self) -> None:
        for name in list(self._armed):
            self._disarm(name)
        self._steps.clear()
        for kept in (
            self._seen, self._before, self._gradients, self._clipped, self._changes, self._losses, self._effects,
        ):  # fmt: skip
            kept.clear()

    def _disarm(self, name: str) -> None:
        for handle in self._armed.pop(name):
            handle.remove()

    def _see(self, parameter: Tensor) -> None:
        self._seen[id(parameter)] = _norm(parameter.grad)

    def _before_step(self, name: str, optimiser: Optimizer, arguments: tuple, named: dict) -> None:
        self._steps[name] += 1
        if name not in self._armed:
            return
        self._before[name] = [(one, one.detach().clone()) for one in _parameters(optimiser)]
        self._losses[name] = self.losses()
        if not any(callable(value) for value in (*arguments, *named.values())):
            self._take(name)

    def _take(self, name: str) -> None:
        """Keep the gradients that an optimiser has for its step."""
        for one, _ in self._before[name]:
            if id(one) in self._seen and one.grad is not None:
                self._gradients[id(one)], self._clipped[id(one)] = self._seen[id(one)], _norm(one.grad)
        self._disarm(name)

    def _after_step(self, name: str, *_: object) -> None:
        if name not in self._before:
            return
        if name in self._armed:  # A closure has computed the gradients within the step.
            self._take(name)
        for one, before in self._before.pop(name):
            change = one.detach() - before
            along = torch.dot(change.flatten().float(), before.flatten().float())
            self._changes[id(one)] = _norm(change), _norm(before), along
        before = self._losses.pop(name)
        for loss, after in (self.losses() if before else {}).items():
            change = (after - before[loss]) / max(abs(before[loss]), 1e-12)
            self._effects[loss] = self._effects.get(loss, 0.0) + change


def _groups(modules: Mapping[str, nn.Module]) -> dict[str, list[nn.Parameter]]:
    """Return the parameters of every network, and of every part of it, that has any."""
    named = {}
    for name, module in modules.items():
        named[name] = module
        parts = parts_of(module)
        named |= {f"{name}.{part}": child for part, child in parts.items()} if len(parts) > 1 else {}
    groups = {name: list(module.parameters()) for name, module in named.items()}
    return {name: group for name, group in groups.items() if group}


def _parameters(optimiser: Optimizer) -> list[nn.Parameter]:
    return [own for group in optimiser.param_groups for own in group["params"]]


def _watch_gradient(parameter: nn.Parameter, see: object) -> RemovableHandle:
    """Register a hook also on a parameter that is not trained at the moment."""
    trained = parameter.requires_grad
    parameter.requires_grad_(True)
    handle = parameter.register_post_accumulate_grad_hook(see)
    parameter.requires_grad_(trained)
    return handle


def _norm(values: Tensor) -> Tensor:
    return torch.linalg.vector_norm(values, dtype=torch.promote_types(values.dtype, torch.float32))


def _to_host(norms: Mapping[int, Tensor]) -> dict[int, float]:
    """Return the values by one transfer for each device."""
    devices: dict[torch.device, list[int]] = {}
    for own, norm in norms.items():
        devices.setdefault(norm.device, []).append(own)
    found = {}
    for members in devices.values():
        values = torch.stack([norms[own].float() for own in members]).tolist()
        found |= dict(zip(members, values, strict=True))
    return found


def _total(norms: Mapping[int, float], own: Iterable[int]) -> float:
    return math.sqrt(sum(norms[one] ** 2 for one in own if one in norms))
