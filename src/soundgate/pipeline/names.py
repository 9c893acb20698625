"""Names and paths in the parameters that must be right before DVC reads them: names become parts of commands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from soundgate.pipeline.overrides import is_path_key
from soundgate.runtime.errors import ConfigError

# Lists whose items, or fields of them, stand in paths and commands of dvc.yaml.
NAMED: Mapping[str, tuple[str, ...]] = {
    "profile": (),
    "structure.codecs": (),
    "dynamics.references": (),
    "dynamics.pairs": ("name", "first", "second"),
    "rooms.embedder": (),
    "transfer.codecs": (),
    "corpus.rooms.pools": ("name",),
    "corpus.voices.sources": ("name",),
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def check_names(params: Mapping) -> None:
    """Refuse a name that a shell or a path would take for more than a name, and paths that begin with ``~``.

    Args:
        params: the composed parameters; a list that they lack is not looked for.

    Raises:
        ConfigError: with the key and what is wrong with its value.
    """
    for key, fields in NAMED.items():
        items = _find(params, key)
        for position, item in enumerate(items if isinstance(items, list) else ()):
            if not fields:
                _check(f"{key}[{position}]", item)
            for field in fields:
                if isinstance(item, Mapping) and field in item:
                    _check(f"{key}[{position}].{field}", item[field])
    for key, value in _leaves(params):
        if is_path_key(key) and isinstance(value, str) and value.startswith("~"):
            remedy = "Give an absolute path; a file whose name begins so is ./~..."
            raise ConfigError(key, expected="a path without ~, which nothing expands here", found=value, remedy=remedy)


def _check(key: str, name: object) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        expected = "a name of letters, digits and _.- (ASCII) that begins with a letter or a digit"
        raise ConfigError(key, expected=expected, found=repr(name))


def _find(params: Mapping, dotted: str) -> object:
    value: object = params
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _leaves(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the dotted key of every scalar, items of lists included."""
    if isinstance(value, Mapping):
        inner = [(f"{prefix}.{key}" if prefix else str(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        inner = [(f"{prefix}.{position}", item) for position, item in enumerate(value)]
    else:
        yield prefix, value
        return
    for key, item in inner:
        yield from _leaves(item, key)
