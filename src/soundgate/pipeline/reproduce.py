"""Runs the pipeline: one process that schedules stages, several at a time, and records each as DVC would.

`dvc repro` runs one stage at a time and reads all of its files again for every stage. Here the pipeline is read once;
whether a stage is out of date, what the run cache holds, and how outputs are stored is still asked of DVC.
"""

from __future__ import annotations

import ctypes.util
import fcntl
import os
import signal
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import networkx as nx
from dvc.exceptions import DvcException
from dvc.repo import Repo

from soundgate.pipeline.guard import Guard
from soundgate.pipeline.lock_file import mend
from soundgate.pipeline.scheduling import Scheduler
from soundgate.runtime.console import logger
from soundgate.runtime.errors import PipelineError
from soundgate.runtime.execution import worker_count

_RUN_LOCK = Path(".dvc", "tmp", "soundgate", "run.lock")
# Stages that no track owns.
SHARED = ("code", "corpus")


def default_jobs() -> int:
    """Return how many stages to run at a time: as many as there are cores, or one where there is a GPU to train on."""
    if ctypes.util.find_library("cuda") is None:  # Without its driver PyTorch finds no GPU: seconds saved.
        return worker_count()
    import torch

    return 1 if torch.cuda.is_available() else worker_count()


def job_environment(environment: Mapping[str, str], jobs: int) -> dict[str, str]:
    """Return the environment with worker processes shared out to ``jobs`` stages, unless the user has said how many."""
    share = str(max(1, worker_count() // jobs))
    return {"SOUNDGATE_WORKERS": share, "PYTHONUNBUFFERED": "1"} | dict(environment)


def reproduce(root: Path, jobs: int, environment: Mapping[str, str], tracks: Collection[str] = ()) -> int:
    """Run what is out of date, up to ``jobs`` stages at a time.

    A stage that fails stops only those that need it. A second run waits for the first. Killed at any moment, the same
    call goes on: every stage that was finished is recorded, the others go on from their work folders.

    Args:
        root: the repository.
        jobs: stages at a time, at least 1.
        environment: of the stages.
        tracks: run only these and what they need; by default all.

    Returns:
        0; 1 where a stage failed; 130 where the run was interrupted.

    Raises:
        PipelineError: DVC cannot read the pipeline, or no stage belongs to a track.
    """
    root = root.resolve()
    try:
        with _alone(root) as lock, _interruptible(), Repo(root, _wait_for_lock=True) as repo:
            guard = Guard(lock)
            try:
                return _run(repo, guard, jobs, job_environment(environment, jobs), tracks)
            except KeyboardInterrupt:
                logger.warning("Interrupted. What was finished is kept; the same command goes on.")
                return 130
            finally:
                guard.close()
    except DvcException as error:
        raise PipelineError(
            root, expected="a pipeline that DVC can read", found=" ".join(str(error).split())
        ) from error


def _run(repo: Repo, guard: Guard, jobs: int, environment: Mapping[str, str], tracks: Collection[str]) -> int:
    _refuse_braces(repo.cache.local_cache_dir)
    mend(Path(repo.root_dir))
    with repo.scm_context(quiet=True):
        graph = needed_by(repo.index.graph, tracks) if tracks else repo.index.graph
        failed = Scheduler(repo, graph, jobs, environment, guard).run()
    return 1 if failed else 0


def _refuse_braces(cache: str) -> None:
    """Refuse a cache whose path DVC takes for a template as soon as it has stored something there."""
    if "{" in cache or "}" in cache:
        remedy = "Rename the folder, or move the cache: dvc cache dir --local FOLDER."
        raise PipelineError(cache, expected="a path of DVC's cache without { and }", found="one with", remedy=remedy)


def needed_by(graph: nx.DiGraph, tracks: Collection[str]) -> nx.DiGraph:
    """Return the stages of some tracks and all that they need.

    Args:
        graph: stages, an edge from each to every stage it needs.
        tracks: names: the first word of their stages' names; ``dynamics`` belongs to ``structure``.

    Raises:
        PipelineError: a track has no stage.
    """
    by_track: dict[str, set] = {}
    for stage in graph:
        by_track.setdefault(track_of(stage.addressing), set()).add(stage)
    unknown = sorted(set(tracks) - set(by_track))
    if unknown:
        known = ", ".join(sorted(set(by_track) - set(SHARED)))
        raise PipelineError(", ".join(unknown), expected=f"one of the tracks {known}", found="no stage of that name")
    wanted = set().union(*(by_track[track] for track in tracks))
    return graph.subgraph(wanted.union(*(nx.descendants(graph, stage) for stage in wanted)))


def track_of(address: str) -> str:
    """Return the track that a stage belongs to, by its address: ``gates-summary@tiny-voice`` to ``voice``."""
    kind = address.partition("-")[0].partition("@")[0]
    if kind == "gates":
        return address.rpartition("-")[2]
    return "structure" if kind == "dynamics" else kind


@contextmanager
def _alone(root: Path) -> Iterator[IO]:
    """Hold the repository for one run; wait where another has it, and say so."""
    path = root / _RUN_LOCK
    if not (root / ".dvc").is_dir():
        remedy = "Run this in the root of the repository."
        raise PipelineError(root, expected="a DVC repository", found="none", remedy=remedy)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            logger.warning("Waiting for another run in this repository to end (process %s)", lock.read() or "unknown")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn a request to end, and a terminal that is closed, into what Ctrl-C is."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stage_environment() -> dict[str, str]:
    """Return the environment with this interpreter's folder first: stages run as plain ``python``."""
    here = str(Path(sys.executable).parent)
    return os.environ | {"PATH": os.pathsep.join([here, os.environ.get("PATH", "")])}
