"""Parameters that differ from the default of their profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Changed(NamedTuple):
    """One parameter.

    Args:
        name: with dots.
        default: its value in the profile's default; empty: it has none.
        now: its value; empty: it is gone.
    """

    name: str
    default: str
    now: str


def changed_parameters(default: Mapping, now: Mapping) -> list[Changed]:
    """Return the parameters whose values differ, by name.

    Args:
        default: nested parameters.
        now: likewise.
    """
    before, after = dict(_leaves(default)), dict(_leaves(now))
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [Changed(name, before.get(name, ""), after.get(name, "")) for name in sorted(names)]


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, str(value)
