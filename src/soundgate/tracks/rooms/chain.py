"""Runs that go on where an earlier one stopped, in another folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from soundgate.runtime.config import Section
from soundgate.runtime.console import logger
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import read_json, sha256_of
from soundgate.runtime.scratch import publish
from soundgate.tracks.rooms.batches import own_batches

MANIFEST = "manifest.json"
Part = Literal["catalogue", "embeddings", "vocals", "triples"]
FOLDERS: dict[Part, str] = {"catalogue": "irs", "embeddings": "embeddings", "vocals": "vocals"}


class ChainSettings(Section):
    """What is taken from an earlier run instead of being made.

    Args:
        previous_run: its run folder (with `manifest.json`), or None.
        reuse: which parts.
    """

    previous_run: str | None
    reuse: tuple[Part, ...]


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file under a folder, by its path inside."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def reuse_part(chain: ChainSettings, part: Part, out: Path) -> bool:
    """Publish a part of the previous run as this run's own, if the settings say so.

    Returns:
        Whether it was taken over; if not it has to be made.

    Raises:
        FormatError: the previous run's files are not those its manifest lists.
    """
    previous = previous_manifest(chain)
    if previous is None or part not in chain.reuse:
        return False
    folder = Path(chain.previous_run) / FOLDERS[part]
    _require(folder, previous["parts"][FOLDERS[part]])
    publish(folder, out)
    logger.info("%s: taken over from run %d, %s", part, previous["run_number"], folder)
    return True


def earlier_batches(chain: ChainSettings, plan_sha256: str) -> tuple[list[dict], int]:
    """Return the batches of earlier runs, verified, and this run's number.

    Only the previous run's own batches are hashed: those of runs before it were when it began.

    Raises:
        FormatError: they were rendered from another plan, or have changed.
    """
    previous = previous_manifest(chain)
    if previous is None:
        return [], 1
    run_number = previous["run_number"] + 1
    if "triples" not in chain.reuse:
        return [], run_number
    if previous["plan_sha256"] != plan_sha256:
        raise FormatError(
            chain.previous_run, expected=f"batches of the plan {plan_sha256}", found=previous["plan_sha256"],
            remedy="Reuse catalogue, embeddings and vocals too, with the same rooms.plan and seed; or not triples.",
        )  # fmt: skip
    own = {entry["file"]: entry["sha256"] for entry in own_batches(previous)}
    folder = Path(chain.previous_run) / "batches"
    for name, sha256 in own.items():
        found = sha256_of(folder / name) if (folder / name).exists() else "no such file"
        if found != sha256:
            raise FormatError(folder / name, expected=f"sha256 {sha256}", found=found)
    logger.info("%d batches of earlier runs stand; going on as run %d", len(previous["batches"]), run_number)
    return previous["batches"], run_number


def previous_manifest(chain: ChainSettings) -> dict | None:
    """Read the previous run's manifest; None where there is no previous run."""
    if chain.previous_run is None:
        return None
    path = Path(chain.previous_run) / MANIFEST
    if not path.is_file():
        raise FormatError(
            path, expected="the manifest of a finished or halted run", found="no such file",
            remedy="Point rooms.chain.previous_run at a run folder, or set it to null.",
        )  # fmt: skip
    return read_json(path)


def _require(folder: Path, hashes: dict[str, str]) -> None:
    found = file_hashes(folder)
    for name in sorted(hashes.keys() | found.keys()):
        if hashes.get(name) != found.get(name):
            raise FormatError(
                folder / name, expected=f"sha256 {hashes.get(name, 'none: not in the manifest')}",
                found=found.get(name, "no such file"), remedy="Restore the previous run, or do not reuse this part.",
            )  # fmt: skip
