"""Which parts of a network are looked at one by one: sub-discriminators, blocks, layers."""

from __future__ import annotations

from torch import nn


def parts_of(module: nn.Module) -> dict[str, nn.Module]:
    """Return a network's parts by name: its children, and for a child that is a list, or holds but one, its members.

    A discriminator of several periods is its sub-discriminators, whether they are its own list or those of two
    families of them.
    """
    parts = {}
    for name, child in module.named_children():
        members = _members(child)
        parts |= {f"{name}.{number}": member for number, member in members.items()} if members else {name: child}
    return parts


def _members(child: nn.Module) -> dict[str, nn.Module]:
    if isinstance(child, nn.ModuleList):
        return dict(child.named_children())
    inner = list(child.children())
    return dict(inner[0].named_children()) if len(inner) == 1 and isinstance(inner[0], nn.ModuleList) else {}
