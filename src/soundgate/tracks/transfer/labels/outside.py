"""Files from outside the pipeline that labels depend on: a table of the user's, a finished Lab 1."""

from __future__ import annotations

from pathlib import Path

from soundgate.runtime.console import logger
from soundgate.runtime.errors import ConfigError, FormatError
from soundgate.runtime.files import sha256_of
from soundgate.tracks.transfer.content.model import ContentModel, load_content
from soundgate.tracks.transfer.labels.settings import LabelSettings
from soundgate.training.weights import MODEL_FILE

SECTION = "transfer.labels"


def outside_hashes(settings: LabelSettings) -> dict[str, str]:
    """Return the SHA-256 of each file from outside that these settings use, held against the pinned ones.

    Raises:
        ConfigError: a file is needed and none is named.
        FormatError: there is no such file, or it is another one.
    """
    hashes = {}
    if settings.genre_schema == "csv":
        if settings.csv.path is None:
            raise ConfigError(f"{SECTION}.csv.path", expected="a CSV file", found="null", remedy="Name it.")
        hashes["csv"] = _pinned(Path(settings.csv.path), settings.csv.sha256, "csv")
    if settings.require_is_music and settings.analysis.folder is None:
        raise no_analysis()
    if settings.needs_analysis:
        hashes["analysis"] = _pinned(Path(settings.analysis.folder) / MODEL_FILE, settings.analysis.sha256, "analysis")
    return hashes


def open_analysis(settings: LabelSettings) -> ContentModel | None:
    """Load the finished Lab 1, on the CPU, or return None where the settings use none.

    Raises:
        WeightsError: a file is missing or damaged.
    """
    return load_content(settings.analysis.folder) if settings.needs_analysis else None


def no_analysis() -> ConfigError:
    """Return the error of a music gate that is asked for without a Lab 1."""
    return ConfigError(
        f"{SECTION}.analysis.folder",
        expected="a finished Lab 1, whose music gate require_is_music asks",
        found="null",
        remedy=(
            "Train Lab 1 once with require_is_music false (dvc repro transfer-content), copy its folder, "
            "data/<profile>/transfer/content, out of the pipeline and name the copy here; or leave "
            "require_is_music false."
        ),
    )


def _pinned(path: Path, sha256: str | None, name: str) -> str:
    if not path.is_file():
        raise FormatError(path, expected=f"what {SECTION}.{name} names", found="no such file")
    found = sha256_of(path)
    if sha256 is None:
        logger.warning("%s: DVC does not notice when it changes; set %s.%s.sha256 to %s", path, SECTION, name, found)
    elif sha256 != found:
        remedy = f"If the change is meant, set {SECTION}.{name}.sha256 to it."
        raise FormatError(path, expected=f"sha256 {sha256}", found=found, remedy=remedy)
    return found
