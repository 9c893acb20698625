"""The hashes of the stages' code that stage `code` wrote: ``code.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML, YAMLError

from soundgate.runtime.errors import FormatError

CODE_FILE = "code.yaml"
Hashes = Mapping[str, str]


def read_hashes(root: Path) -> Hashes:
    """Return the hash of each stage's code by the stage's name; none where the file is not there yet.

    Raises:
        FormatError: the file is damaged.
    """
    path = root / CODE_FILE
    if not path.is_file():
        return {}
    try:
        return dict(YAML(typ="safe").load(path.read_text(encoding="utf-8"))["stages"])
    except (YAMLError, TypeError, KeyError, ValueError) as error:
        raise FormatError(
            path, expected="stages with their hashes", found="something else", remedy="Run: dvc repro code"
        ) from error
