"""A small pipeline in a repository of its own, for tests of what runs it."""

import subprocess
from pathlib import Path

import yaml
from dvc.repo import Repo


def stage(command, *deps, outs):
    return {"cmd": command, "deps": list(deps), "outs": list(outs)}


def make_repository(folder: Path, stages: dict) -> Path:
    """Write dvc.yaml into an empty folder and make it a repository of Git and DVC."""
    write_pipeline(folder, stages)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    for key, value in (("user.name", "test"), ("user.email", "test@example.org")):
        subprocess.run(["git", "config", key, value], cwd=folder, check=True)
    init_dvc(folder)
    return folder


def init_dvc(folder: Path) -> None:
    """Do what `dvc init` does; as in this repository, DVC sends nothing and asks for no newer version of itself."""
    Repo.init(str(folder)).close()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n    check_update = false\n")


def write_pipeline(folder: Path, stages: dict) -> None:
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
