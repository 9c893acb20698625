"""The three files of Lyra's coefficients: found or downloaded, and never other ones than those pinned."""

from __future__ import annotations

import hashlib
from pathlib import Path

from soundgate.codecs.lyra.settings import Settings
from soundgate.codecs.weights import hub_url
from soundgate.runtime.errors import WeightsError

SUFFIX = ".tflite"


def read_files(settings: Settings) -> dict[str, bytes]:
    """Read the coefficients.

    Args:
        settings: where they are from, see `Settings`; downloads are kept in PyTorch's cache.

    Returns:
        Each file's content under its name without suffix.

    Raises:
        WeightsError: a file is missing, cannot be downloaded, or is another than the one pinned.
    """
    hashes: dict[str, str] = settings.sha256.model_dump()
    if settings.weights == "download":
        address = settings.address.replace("{revision}", settings.revision).rstrip("/")
        folder = f"lyra-{settings.revision[:16]}"
        paths = {name: hub_url(f"{address}/{name}{SUFFIX}", sha256, folder) for name, sha256 in hashes.items()}
    else:
        paths = {name: Path(settings.weights, name + SUFFIX) for name in hashes}
    return {name: _read(path, hashes[name]) for name, path in paths.items()}


def _read(path: Path, sha256: str) -> bytes:
    """Return a file's content, which is what was hashed."""
    if not path.is_file():
        expected = f"one of the three files {', '.join(Settings().sha256.model_dump())} ({SUFFIX})"
        remedy = 'Set codec.lyra.weights to "download", or to the folder model_coeffs of the repository google/lyra.'
        raise WeightsError(path, expected=expected, found="no such file", remedy=remedy)
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        remedy = "Fetch it again; if another version is meant, set codec.lyra.sha256 to its hashes."
        raise WeightsError(path, expected=f"a file with sha256 {sha256}", found=f"sha256 {found}", remedy=remedy)
    return content
