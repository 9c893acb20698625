"""Where the models of the trained paths lie, and what makes them."""

from __future__ import annotations

from pathlib import Path

from soundgate.runtime.errors import WeightsError

MAKE_MODELS = "soundgate repro profile={profile} --track transfer"
# Folders of each path, below the profile's.
NEEDED = {"mel": ("content", "style", "mel"), "codec": ("content", "latents", "bank", "codec")}


def models_folder(profile: str) -> Path:
    """Return the folder of a profile's corpus and models."""
    return Path("data", profile, "transfer")


def check_models(path: str, profile: str) -> Path:
    """Return the folder of a profile's models.

    Raises:
        WeightsError: what a path needs is not there; it says what makes it.
    """
    folder = models_folder(profile)
    missing = [name for name in NEEDED[path] if not (folder / name / "config.json").is_file()]
    if missing:
        remedy = f"Run: {MAKE_MODELS.format(profile=profile)}"
        found = f"none in {', '.join(str(folder / name) for name in missing)}"
        raise WeightsError(f"--path {path}", expected="trained models", found=found, remedy=remedy)
    return folder
