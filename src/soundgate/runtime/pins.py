"""Published files that are held to one version: the commit they come from and the hash of their bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from soundgate.runtime.console import logger
from soundgate.runtime.errors import WeightsError
from soundgate.runtime.files import sha256_of

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


def require_weights(path: str | Path, sha256: str | None, subject: str) -> str:
    """Hold downloaded weights against the hash they are pinned by.

    Args:
        path: the file.
        sha256: of its bytes, in hexadecimal; None where nobody has stated it: then a warning tells what it is.
        subject: what the error is about.

    Returns:
        The file's own.

    Raises:
        WeightsError: it is another.
    """
    found = sha256_of(path)
    if sha256 is None:
        logger.warning("%s is held to no hash: set sha256 to %s if this is the version meant", subject, found)
    elif found != sha256:
        remedy = f"Delete {path} and fetch it again; if another version is meant, set its revision and its sha256."
        raise WeightsError(subject, expected=f"a file with sha256 {sha256}", found=f"sha256 {found}", remedy=remedy)
    return found
