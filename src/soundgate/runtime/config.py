"""Parameter sections: read from the composed ``params.yaml``, checked, frozen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from soundgate.runtime.errors import ConfigError
from soundgate.runtime.plain_yaml import read_plain_yaml

Model = TypeVar("Model", bound=BaseModel)

PARAMS_FILE = "params.yaml"


class Section(BaseModel):
    """Base of every section's model: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def load_section(section: str, model: type[Model], params_path: str | Path = PARAMS_FILE) -> Model:
    """Read one section of the parameters into its model.

    Args:
        section: dotted path of the section, e.g. ``"structure.split"``.
        model: the section's frozen pydantic model, with ``extra="forbid"``.
        params_path: the composed parameters.

    Returns:
        A validated instance of ``model``.

    Raises:
        ConfigError: the file or the section is missing, a key is unknown or missing, a value is out of range.
    """
    assert model.model_config.get("extra") == "forbid" and model.model_config.get("frozen"), model
    return parse_section(section, read_section(section, params_path), model)


def read_section(section: str, params_path: str | Path = PARAMS_FILE) -> dict:
    """Return one section as it stands, for a reader that checks it by a model of its own (a codec).

    Raises:
        ConfigError: the file or the section is missing.
    """
    values = _find(read_params(params_path), section, params_path)
    if not isinstance(values, dict):
        raise ConfigError(section, expected="a section of parameters", found=repr(values))
    return values


def parse_section(section: str, values: dict, model: type[Model]) -> Model:
    """Validate the values of one section; see ``load_section``."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _explain(section, model, error) from error


def check_origin(given: str | Path | None, settings: str, of: str) -> None:
    """Hold what a stage was given to read on its command line, if anything, against its settings.

    Args:
        given: the stage's option, or None.
        settings: the section's ``origin``.
        of: what the origin belongs to, for the message.

    Raises:
        ConfigError: they are not the same.
    """
    if given is not None and Path(settings) != Path(given):
        raise ConfigError("--origin", expected=f"{of}, {settings}", found=str(given))


def load_seed(params_path: str | Path = PARAMS_FILE) -> int:
    """Return the experiment's ``seed``.

    Raises:
        ConfigError: it is missing or not a whole number of at least 0.
    """
    return _whole_number(read_params(params_path), "seed", params_path)


def load_training_seed(params_path: str | Path = PARAMS_FILE) -> int:
    """Return the seed of what is trained: ``seed`` plus ``training_seed``, which no corpus and no split reads.

    Raises:
        ConfigError: one of them is missing or not a whole number of at least 0.
    """
    params = read_params(params_path)
    return sum(_whole_number(params, name, params_path) for name in ("seed", "training_seed"))


def _whole_number(params: dict, name: str, params_path: str | Path) -> int:
    value = _find(params, name, params_path)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(name, expected="a whole number of at least 0", found=repr(value))
    return value


def read_params(params_path: str | Path = PARAMS_FILE) -> dict:
    """Read the whole of the composed parameters.

    Raises:
        ConfigError: the file is missing or not a YAML mapping.
    """
    remedy = "Write it with: soundgate compose"
    path = Path(params_path)
    if not path.is_file():
        raise ConfigError(path, expected="the composed parameters", found="no such file", remedy=remedy)
    try:
        params = read_plain_yaml(path)
    except ValueError as error:
        raise ConfigError(path, expected="YAML", found=str(error), remedy=remedy) from error
    if not isinstance(params, dict):
        raise ConfigError(path, expected="a YAML mapping", found=type(params).__name__, remedy=remedy)
    return params


def _find(params: dict, dotted: str, params_path: str | Path) -> object:
    value: object = params
    for depth, key in enumerate(dotted.split(".")):
        if not isinstance(value, dict) or key not in value:
            reached = ".".join(dotted.split(".")[:depth]) or "the top level"
            found = ", ".join(value) if isinstance(value, dict) else repr(value)
            raise ConfigError(dotted, expected=f"this key in {params_path}", found=f"{found} under {reached}")
        value = value[key]
    return value


def _explain(section: str, model: type[BaseModel], error: ValidationError) -> ConfigError:
    problems = error.errors()
    keys = [".".join([section, *map(str, problem["loc"])]) for problem in problems]
    first = problems[0]
    others = f"Also wrong: {', '.join(keys[1:])}." if len(keys) > 1 else ""
    if first["input"] is None and keys[0].endswith(".origin"):
        remedy = f"Give it: {_assignment(keys[0])}"
        return ConfigError(keys[0], expected="a source list or a folder of audio", found="none", remedy=remedy)
    if first["type"] == "extra_forbidden":
        known = f" ({', '.join(model.model_fields)})" if len(first["loc"]) == 1 else ""
        expected, found = f"a known key{known}", f"an unknown one, with value {first['input']!r}"
    elif first["type"] == "missing":
        expected, found = "a value", "no such key"
    else:
        expected = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        found = repr(first["input"])
    return ConfigError(keys[0], expected=expected, found=found, remedy=others)


def _assignment(origin: str) -> str:
    """Return how an origin is given on the command line; that of an entry of a list only with the whole list."""
    listed = re.fullmatch(r"(.+)\.\d+\.origin", origin)
    return f"'{listed[1]}=[{{name: NAME, source: folder, origin: FOLDER, seed: 0}}]'" if listed else f"{origin}=FOLDER"
