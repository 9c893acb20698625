"""YAML from outside: one small document of plain values, each written once."""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import Node

MAX_BYTES = 2**18
MAX_DEPTH = 32


class _NoAliases(Composer):
    """Ten lists that each name the one before ten times are 400 bytes, and ten thousand million values to walk."""

    def return_alias(self, node: Node) -> NoReturn:
        raise ComposerError(None, None, "an alias (*), which is not allowed here", node.start_mark)


def read_plain_yaml(path: str | Path) -> object:
    """Read a YAML document of mappings, lists and plain values.

    Args:
        path: a file in UTF-8 of at most ``MAX_BYTES``, at most ``MAX_DEPTH`` levels deep, without aliases, tags of
            its own, or a key twice.

    Returns:
        What it holds, as the caller's own. A process parses the same content once: of parameters that takes a third of
        a second, and a stage reads several sections.

    Raises:
        ValueError: it is larger, deeper, no YAML, or has what is not allowed; the text says which and where.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    return deepcopy(_parsed(content))


@lru_cache(maxsize=4)
def _parsed(content: bytes) -> object:
    # Not by the C parser, where there is one: it refuses the colons of addresses in a list on one line.
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _NoAliases
    yaml.max_depth = MAX_DEPTH
    try:
        return yaml.load(content.decode("utf-8"))
    except YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except (LookupError, TypeError, AttributeError) as error:  # Of a tag of YAML's own, such as !!bool.
        raise ValueError(f"a value that its tag does not fit: {error}") from error
