"""Source lists: the YAML files that say what a corpus is made or fetched from."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from soundgate.runtime.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def read_source_list(path: str | Path, model: type[Model], what: str) -> Model:
    """Read a source list into its model.

    Args:
        path: a YAML file.
        model: what it must hold, with ``extra="forbid"``.
        what: its sources in words, for the error: a source list of ...

    Returns:
        A validated instance of ``model``.

    Raises:
        ConfigError: the file is missing or no YAML, or a key is missing, unknown or out of range.
    """
    try:
        # Not by the C parser, where there is one: it refuses the colons of addresses in a list on one line.
        return model.model_validate(YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, YAMLError, ValidationError) as error:
        raise ConfigError(path, expected=f"a source list of {what}", found=str(error)) from error
