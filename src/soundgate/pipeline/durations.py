"""How long the last run of each stage took on this machine, for those who want to know where the time goes."""

from __future__ import annotations

from pathlib import Path

from soundgate.runtime.files import read_json, write_json

_FILE = Path(".dvc", "tmp", "soundgate", "seconds.json")


def read_durations(root: Path) -> dict[str, float]:
    """Return seconds by a stage's address; empty where no stage has run here, or the record is damaged."""
    try:
        return {str(address): float(seconds) for address, seconds in read_json(root / _FILE).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def note_duration(root: Path, address: str, seconds: float) -> None:
    """Keep how long a stage's command took, wall time in seconds."""
    path = root / _FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, read_durations(root) | {address: round(seconds, 1)})
