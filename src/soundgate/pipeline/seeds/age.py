"""Whether a spread over seeds was measured with the trainings as they are now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from soundgate.pipeline.code_hashes import Hashes
from soundgate.runtime.errors import FormatError


class _Spread(BaseModel):
    trained: list[str]
    seeds: list[int]
    code: dict[str, str | None]


def read_spread(path: Path) -> Mapping:
    """Return what `age_of` needs of a ``seeds.json``.

    Raises:
        FormatError: it is damaged.
    """
    try:
        return _Spread.model_validate_json(path.read_bytes()).model_dump()
    except ValidationError as error:
        found = str(error.errors(include_url=False)[0]["msg"])
        raise FormatError(path, expected="a spread over seeds", found=found, remedy="Run: soundgate repro") from error


def age_of(spread: Mapping, hashes: Hashes) -> str:
    """Say what the spread in a ``seeds.json`` is worth.

    Args:
        spread: from `measured_spread`.
        hashes: of the code as it is now.

    Returns:
        ``"nothing trained"``, ``"one seed"``, ``"old"`` (a training's code has changed since), ``"unknown"`` (the code
        then or now is not known) or ``"measured"``.
    """
    if not spread["trained"]:
        return "nothing trained"
    if len(spread["seeds"]) < 2:
        return "one seed"
    pairs = [(spread["code"].get(stage), hashes.get(stage)) for stage in spread["trained"]]
    if any(then != now for then, now in pairs if then and now):
        return "old"
    return "measured" if all(then and now for then, now in pairs) else "unknown"
