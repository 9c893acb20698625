"""Source lists: the YAML files that say what a corpus is made or fetched from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field

from soundgate.runtime.errors import ConfigError
from soundgate.runtime.plain_yaml import read_plain_yaml

NBytes = Annotated[int, Field(ge=1, le=2**44)]
Model = TypeVar("Model", bound=BaseModel)


def read_source_list(path: str | Path, model: type[Model], what: str) -> Model:
    """Read a source list into its model.

    Args:
        path: a YAML file; see `read_plain_yaml` for what it may hold.
        model: what it must hold, with ``extra="forbid"``.
        what: its sources in words, for the error: a source list of ...

    Returns:
        A validated instance of ``model``.

    Raises:
        ConfigError: the file is missing or no plain YAML, or a key is missing, unknown or out of range.
    """
    try:
        return model.model_validate(read_plain_yaml(path))
    except (OSError, ValueError) as error:  # pydantic's error is a ValueError
        raise ConfigError(path, expected=f"a source list of {what}", found=str(error)) from error
