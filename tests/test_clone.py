"""What a clone is wherever it lies: `make` knows its environment, and its text has the bytes that were committed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.pipeline_file import ROOT

# Stands for uv: notes that it was called, and makes an environment of one launcher.
UV = """#!/bin/sh
if [ "$1" = --version ]; then echo "uv ${STAND_IN:-0.13.9} (of a day)"; exit; fi
echo "$@" >>"$NOTES"
mkdir -p .venv/bin
printf '#!%s\\n' "$(pwd -P)/.venv/bin/python" >.venv/bin/soundgate
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A function that runs make in a folder and returns what it printed and how often the environment was made."""
    programs, notes = tmp_path / "programs", tmp_path / "notes"
    programs.mkdir()
    notes.touch()
    (programs / "uv").write_text(UV)
    (programs / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("NOTES", str(notes))

    def run(folder, *arguments):
        command = ["make", "--no-print-directory", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout, notes.read_text().count("sync --all-groups")

    return run


@pytest.fixture
def clone(tmp_path):
    folder = tmp_path / "a folder's $1"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def test_an_environment_that_is_there_is_not_made_again(make, clone):
    assert make(clone, "environment")[1] == 1
    output, made = make(clone, "environment")
    assert made == 1 and "sync" not in output
    assert "sync --all-groups" not in make(clone, "-n", "repro")[0]


@pytest.mark.parametrize(("version", "used"), [("0.9.7", False), ("0.9.8", True), ("0.10.0", True), ("1.0.0", True)])
def test_a_uv_that_would_not_read_the_settings_is_not_used(make, clone, monkeypatch, version, used):
    monkeypatch.setenv("STAND_IN", version)
    output, _ = make(clone, "-n", "environment")
    assert (".uv/bin/uv sync --all-groups" in output) != used


def test_a_change_of_the_requirements_syncs_and_keeps_what_is_there(make, clone):
    make(clone, "environment")
    (clone / ".venv/mine").touch()
    later = (clone / ".venv/.synced").stat().st_mtime + 60
    os.utime(clone / "pyproject.toml", (later, later))
    assert make(clone, "environment")[1] == 2
    assert (clone / ".venv/mine").exists()


@pytest.mark.parametrize("stamp", ["of the old folder", "of no folder"])
def test_the_environment_of_a_clone_that_was_moved_is_made_anew(make, clone, stamp):
    make(clone, "environment")
    moved = clone.rename(clone.with_name("elsewhere"))
    if stamp == "of no folder":
        (moved / ".venv/.synced").write_text("")
    later = (moved / "pyproject.toml").stat().st_mtime + 60
    os.utime(moved / ".venv/.synced", (later, later))
    assert "sync --all-groups" in make(moved, "-n", "repro")[0]
    (moved / ".venv/bin/other").write_text(f"#!{clone}/.venv/bin/python\n")
    assert make(moved, "environment")[1] == 2
    assert (moved / ".venv/bin/soundgate").read_text() == f"#!{moved.resolve()}/.venv/bin/python\n"
    assert not (moved / ".venv/bin/other").exists()
    assert make(moved, "environment")[1] == 2


def test_line_ends_are_those_committed_whatever_git_is_set_to(tmp_path):
    """A repository of what Git would commit here, cloned with other line ends asked for."""

    def git(*arguments, folder):
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout

    listed = git("ls-files", "-coz", "--exclude-standard", folder=ROOT).decode().split("\0")
    files = [name for name in listed if (ROOT / name).is_file() and not (ROOT / name).is_symlink()]
    assert ".gitattributes" in files and "params.yaml" in files
    origin, cloned = tmp_path / "origin", tmp_path / "clone"
    for name in files:
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, origin / name)
    git("init", "-q", folder=origin)
    git("add", "-A", folder=origin)
    git("commit", "-qm", "all", folder=origin)
    git("clone", "-q", "-c", "core.autocrlf=true", "-c", "core.eol=crlf", str(origin), str(cloned), folder=tmp_path)
    tracked = git("ls-files", "-z", folder=cloned).decode().strip("\0").split("\0")
    assert set(tracked) >= {name for name in files if Path(name).suffix in (".py", ".yaml", ".json", ".csv", ".png")}
    assert [name for name in tracked if (cloned / name).read_bytes() != (origin / name).read_bytes()] == []
