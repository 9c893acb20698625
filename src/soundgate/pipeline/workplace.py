"""Where experiments run: a clone of the repository at its last commit, with the repository's own cache.

DVC queues an experiment by changing files, HEAD and stash of the repository it is in, for a second or two. Killed
in that time it leaves them changed; here that hurts nobody, and nobody's editing gets into a run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from dvc.config import Config
from dvc.repo import Repo
from dvc.rwlock import RWLOCK_FILE

from soundgate.pipeline.compose import CONFIG_FOLDER, compose_text
from soundgate.runtime.config import PARAMS_FILE
from soundgate.runtime.console import logger
from soundgate.runtime.errors import TrainingError
from soundgate.runtime.files import write_text
from soundgate.runtime.scratch import scratch_root

# What of the working tree makes a result: it must be what the commit says.
_SOURCES = ("src", "stages", "sources", CONFIG_FOLDER, "dvc.yaml")


class Workplace:
    """The clone.

    Args:
        root: the repository.
        name: of the work: ``ablations``.

    Attributes:
        folder: of the clone: ``scratch/<name>/repository``.
        commit: what it is a clone of.

    Nobody else works in it until it is closed or this process has ended, and every DVC that was started in it.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root = root.resolve()
        self.work = (self.root / scratch_root() / name).resolve()
        self.folder = self.work / "repository"
        self._refuse_changes()
        self._lock = self._wait_for_others()
        try:
            self.commit = git(self.root, "rev-parse", "HEAD")
            self._clone()
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Workplace:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def environment(self, gpu: str | None = None, scratch: Path | None = None) -> dict[str, str]:
        """Return the environment of everything that runs in the clone.

        Args:
            gpu: to run on; None: as the environment has it.
            scratch: for work that goes on after a kill; by default one of the clone's own.
        """
        here = str(Path(sys.executable).parent)
        # DVC runs an experiment in a folder of its own: it must import that folder's code. Work that a kill interrupts
        # is kept outside, for the next experiment with the same parameters, inputs and code.
        own = {
            "PATH": os.pathsep.join([here, os.environ.get("PATH", "")]),
            "PYTHONPATH": "src",
            "SOUNDGATE_SCRATCH": str(scratch or self.work / "work"),
        }
        return os.environ | own | ({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})

    def dvc(self, *arguments: str, quiet: bool = True, scratch: Path | None = None) -> None:
        """Run DVC in the clone.

        Args:
            arguments: of the command.
            quiet: show nothing.
            scratch: see `environment`.

        Raises:
            TrainingError: it fails.
        """
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments], cwd=self.folder, env=self.environment(scratch=scratch),
            capture_output=quiet, text=True, check=False, pass_fds=(self._lock.fileno(),),
        )  # fmt: skip
        if done.returncode:
            lines = ((done.stdout or "") + (done.stderr or "")).strip().splitlines() if quiet else []
            found = " ".join(lines[-3:]) or f"exit code {done.returncode}"
            raise TrainingError(f"dvc {' '.join(arguments[:2])}", expected="success", found=found)

    def compose(self, overrides: Sequence[str]) -> None:
        """Compose the clone's parameters."""
        write_text(self.folder / PARAMS_FILE, compose_text(overrides, self.folder / CONFIG_FOLDER))

    def prepare(self, overrides: Sequence[str], stages: Sequence[str]) -> None:
        """Compose the clone's parameters and run the stages that all arms share."""
        self.compose(overrides)
        if stages:
            self.dvc("repro", *stages, quiet=False)

    def experiment(self, name: str) -> str | None:
        """Return the commit of a finished experiment, or None."""
        for line in git(self.folder, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/").splitlines():
            commit, ref = line.split(" ", 1)
            if ref.rpartition("/")[2] == name:
                # The repository shows it too: `dvc exp show`.
                git(self.root, "fetch", "-q", str(self.folder), f"+{ref}:{ref}")
                return commit
        return None

    def _wait_for_others(self) -> IO[str]:
        """Return the lock on this place; DVC inherits it, so that one whose parent was killed keeps it to its end."""
        self.work.mkdir(parents=True, exist_ok=True)
        lock = (self.work / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("Waiting for another run in %s to end", self.work)
            fcntl.flock(lock, fcntl.LOCK_EX)
        return lock

    def _refuse_changes(self) -> None:
        sources = [name for name in _SOURCES if (self.root / name).exists()]
        changes = git(self.root, "status", "--porcelain", "--", *sources)
        if changes:
            names = ", ".join(line[2:].strip() for line in changes.splitlines()[:5])
            raise TrainingError(
                "The working tree",
                expected="code and configuration as committed: runs are compared at a commit",
                found=f"changes to {names}",
                remedy="Commit or stash them.",
            )

    def _clone(self) -> None:
        if not (self.folder / ".git").exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            unfinished = self.folder.with_name("repository.partial")
            shutil.rmtree(unfinished, ignore_errors=True)
            git(self.root, "clone", "-q", "--no-checkout", str(self.root), str(unfinished))
            unfinished.rename(self.folder)
        for lock in (self.folder / ".git/index.lock", self.folder / ".git/HEAD.lock"):
            lock.unlink(missing_ok=True)
        # Nobody else works here: who stands in DVC's list of readers and writers is dead, or about to be collected.
        (self.folder / ".dvc/tmp" / RWLOCK_FILE).unlink(missing_ok=True)
        git(self.folder, "fetch", "-q", str(self.root), self.commit)
        git(self.folder, "checkout", "-q", "-f", "--detach", self.commit)
        git(self.folder, "reset", "-q", "--hard")
        for key, default in (("user.name", "soundgate"), ("user.email", "soundgate@localhost")):
            git(self.folder, "config", key, git(self.root, "config", "--default", default, "--get", key))
        self._share_cache()

    def _share_cache(self) -> None:
        with Repo(str(self.root)) as repo:
            cache = os.path.realpath(repo.cache.local_cache_dir)
        settings = self.folder / ".dvc"
        (settings / Config.CONFIG_LOCAL).unlink(missing_ok=True)
        # Written by DVC, which quotes "#" and ",", and relative, since it takes "%(x)s" for a reference.
        with Config(str(settings), validate=False).edit("local") as config:
            config["cache"]["dir"] = os.path.relpath(cache)


def git(folder: Path, *arguments: str) -> str:
    """Run Git in a folder and return what it prints.

    Raises:
        TrainingError: it fails, or is not installed.
    """
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, encoding="utf-8", errors="surrogateescape",
            check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise TrainingError("git", expected="Git, which runs are made with", found="no such program") from error
    if done.returncode:
        found = " ".join(done.stderr.strip().splitlines()[-2:]) or f"exit code {done.returncode}"
        raise TrainingError(f"git {arguments[0]} in {folder}", expected="success", found=found)
    return done.stdout.rstrip("\n")


def refuse_failures(failed: Sequence[str]) -> None:
    """End with an error that names what failed, if anything did.

    Raises:
        TrainingError: something failed.
    """
    if failed:
        raise TrainingError(
            ", ".join(failed),
            expected="every run to finish",
            found=f"{len(failed)} that failed",
            remedy="Their last lines stand above; run the command again once the cause is gone.",
        )
