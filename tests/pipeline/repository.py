"""A small pipeline in a repository of its own, for tests of what runs it."""

import io
import logging
import os
import subprocess
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import yaml
from dvc.cli import main as dvc_main
from dvc.repo import Repo
from dvc.ui import ui

_LOGGERS = ("dvc", "dvc_objects", "dvc_data")


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


def dvc_here(folder: Path, *arguments: str, environment: dict | None = None) -> str:
    """Run a command of DVC in this process, since the start of one of its own takes a second.

    Args:
        folder: to run it in.
        arguments: of `dvc`.
        environment: of the stages; by default this process's.

    Returns:
        What it printed; stages print elsewhere.
    """
    code, text = _run_dvc(folder, arguments, environment)
    assert code == 0, text
    return text


def dvc_refuses(folder: Path, *arguments: str, environment: dict | None = None) -> str:
    """Run a command that fails, as `dvc_here` does."""
    code, text = _run_dvc(folder, arguments, environment)
    assert code != 0, text
    return text


def _run_dvc(folder: Path, arguments: tuple[str, ...], environment: dict | None) -> tuple[int, str]:
    with chdir(folder), mock.patch.dict(os.environ, environment or os.environ, clear=True), _printed() as text:
        code = dvc_main(list(arguments))
    return code, text.getvalue()


@contextmanager
def _printed():
    """Give what DVC prints, also by its loggers: these have kept the streams that there were at the beginning."""
    text, enabled = io.StringIO(), ui._enabled
    handler = logging.StreamHandler(text)
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(handler)
    try:
        with redirect_stdout(text), redirect_stderr(text):
            yield text
    finally:
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(handler)
        ui._enabled = enabled  # A command prints; what else calls DVC in this process does not.
