"""Settings that stand in a list of the parameters, found by their name."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from soundgate.runtime.config import PARAMS_FILE, check_origin, parse_section, read_section
from soundgate.runtime.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def load_named(
    section: str,
    key: str,
    name: str,
    origin: str | Path | None,
    model: type[Model],
    params_path: str | Path = PARAMS_FILE,
) -> Model:
    """Read the one entry of a list of corpora that has a name, and hold it against its stage's input.

    Args:
        section: dotted path of the section that holds the list, e.g. ``"corpus.rooms"``.
        key: the list in it, e.g. ``"pools"``.
        name: of the entry.
        origin: what the stage was given to read, if anything; must be the entry's ``origin``.
        model: the entry's frozen pydantic model, with a field ``origin``.
        params_path: the composed parameters.

    Returns:
        A validated instance of ``model``.

    Raises:
        ConfigError: the list is missing or no list of named entries, has none or several of that name, the
            entry is wrong, or its origin is another.
    """
    entries = read_section(section, params_path).get(key)
    path = f"{section}.{key}"
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "name" in entry for entry in entries):
        raise ConfigError(path, expected="a list of entries with a name", found=repr(entries))
    positions = [position for position, entry in enumerate(entries) if entry["name"] == name]
    if len(positions) != 1:
        names = ", ".join(str(entry["name"]) for entry in entries)
        raise ConfigError(path, expected=f"one entry named {name}", found=f"{len(positions)}, of: {names}")
    settings = parse_section(f"{path}.{positions[0]}", entries[positions[0]], model)
    check_origin(origin, settings.origin, f"the origin of {path} {name}")
    return settings
