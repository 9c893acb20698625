"""The whole pipeline with several tracks side by side: one ``dvc repro`` a track, as many at a time as asked for.

DVC runs one stage at a time, but gives its lock back while a stage runs, so that a second ``dvc repro`` may work on
what the first does not touch. Tracks share nothing but the corpora, which come first.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
from dvc.exceptions import DvcException
from dvc.repo import Repo
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from soundgate.pipeline.tracks import TRACKS, stages_of
from soundgate.runtime.execution import worker_count

SHARED, SUMMARY = "corpus", "gates"
# What DVC says when it comes to a stage: it runs, is restored, or is as it was.
_STAGE_LINE = re.compile(r"^(?:Running stage|Stage) '(?P<stage>[^']+)'")
_DVC = (sys.executable, "-m", "dvc", "--wait-for-lock", "repro")


@dataclass(frozen=True)
class Part:
    """Stages that one ``dvc repro`` runs.

    Attributes:
        name: the track, the first word of its stages' names.
        stages: addresses of all its stages, for example ``voice-cache@embedded``, those that are needed first.
    """

    name: str
    stages: tuple[str, ...]


def parts_of(graph: nx.DiGraph) -> tuple[Part, list[Part]]:
    """Return the stages that tracks share, and the tracks that can run side by side, longest first.

    Args:
        graph: stage addresses, an edge from each stage to every stage it needs.
    """
    order = list(reversed(list(nx.topological_sort(graph))))
    shared = Part(SHARED, tuple(stage for stage in order if _kind(stage) == SHARED))
    kinds = nx.Graph((_kind(stage), _kind(needed)) for stage, needed in graph.edges)
    kinds.add_nodes_from(map(_kind, graph))
    kinds.remove_nodes_from((SHARED, SUMMARY))
    parts = []
    for together in nx.connected_components(kinds):
        stages = tuple(stage for stage in order if _kind(stage) in together)
        parts.append(Part(_kind(stages[0]), stages))
    return shared, sorted(parts, key=lambda part: (-len(part.stages), part.name))


def _kind(stage: str) -> str:
    return stage.partition("-")[0]


def stage_graph(repo: Repo) -> nx.DiGraph:
    """Return the addresses of the pipeline's stages, an edge from each to every stage it needs."""
    return nx.relabel_nodes(nx.DiGraph(repo.index.graph), lambda stage: stage.addressing)


def default_jobs() -> int:
    """Return how many tracks to run at a time: as many as there are cores, or one where there is a GPU to train on."""
    import torch

    return 1 if torch.cuda.is_available() else worker_count()


def job_environment(environment: Mapping[str, str], jobs: int) -> dict[str, str]:
    """Return the environment with worker processes shared out to ``jobs`` tracks, unless the user has said how many."""
    share = str(max(1, worker_count() // jobs))
    return {"SOUNDGATE_WORKERS": share, "PYTHONUNBUFFERED": "1"} | dict(environment)


def reproduce(root: Path, jobs: int, environment: Mapping[str, str], tracks: tuple[str, ...] = TRACKS) -> int:
    """Run what is out of date, up to ``jobs`` tracks at a time.

    A track that fails does not stop the others: nothing is lost that does not depend on it.

    Args:
        root: the repository.
        jobs: tracks at a time, at least 1.
        environment: of DVC and the stages.
        tracks: those to run, with the corpora that they read; other than all of them, one stage after another.

    Returns:
        DVC's exit code, the first that is not 0.
    """
    if tracks != TRACKS:
        command = [*_DVC, *_only_of(tracks, root)]
        return subprocess.run(command, env=dict(environment), cwd=root, check=False).returncode
    shared, tracks = _out_of_date(root) if jobs > 1 else (None, [])
    code = 0
    if len(tracks) > 1:
        code = _dvc(shared, root, environment) or _side_by_side(tracks, root, jobs, environment)
    return code or _dvc(None, root, environment)


def _out_of_date(root: Path) -> tuple[Part | None, list[Part]]:
    """Return what tracks share, and the tracks with a changed stage; none where DVC cannot read the pipeline."""
    try:
        with Repo(root) as repo:
            shared, tracks = parts_of(stage_graph(repo))
            changed = set(repo.status())
    except DvcException:  # `dvc repro` says what is wrong.
        return None, []
    if changed.intersection(shared.stages):
        return shared, tracks
    return shared, [part for part in tracks if changed.intersection(part.stages)]


def _dvc(part: Part | None, root: Path, environment: Mapping[str, str]) -> int:
    return subprocess.run([*_DVC, *_only(part)], env=dict(environment), cwd=root, check=False).returncode


def _only(part: Part | None) -> list[str]:
    """Return the arguments for a part's stages alone: to look at a stage, DVC keeps others from reading its outs.

    Patterns, as DVC reads the whole pipeline again for every target; it takes their stages in the order of dvc.yaml.
    """
    if part is None:
        return []
    return ["--single-item", "--glob", *(f"{kind}-*" for kind in dict.fromkeys(map(_kind, part.stages)))]


def _only_of(tracks: tuple[str, ...], root: Path) -> list[str]:
    """Return the arguments for the stages of some tracks alone; none where DVC, which says why, reads no pipeline."""
    try:
        with Repo(root) as repo:
            chosen = stages_of(tracks, (stage.addressing for stage in repo.index.stages))
    except DvcException:
        return []
    return ["--single-item", "--glob", *dict.fromkeys(f"{stage.partition('@')[0]}*" for stage in chosen)]


def _side_by_side(tracks: list[Part], root: Path, jobs: int, environment: Mapping[str, str]) -> int:
    own = job_environment(environment, min(jobs, len(tracks)))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as board,
        ThreadPoolExecutor(jobs) as pool,
    ):
        codes = list(pool.map(lambda part: _run(part, root, own, board), tracks))
    return next(filter(None, codes), 0)


def _run(part: Part, root: Path, environment: Mapping[str, str], board: Progress) -> int:
    """Run a track's stages; show its lines under its name, and how many of its stages are done."""
    task = board.add_task(part.name, total=len(part.stages))
    command = [*_DVC, *_only(part)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, env=dict(environment), cwd=root, text=True, errors="replace", **pipes) as process:
        done = -1
        for line in process.stdout:
            stage = _STAGE_LINE.match(line)
            if stage:
                done += 1
                board.update(task, completed=done, description=stage["stage"])
            if line.strip():
                board.console.print(f"[bold]{part.name:>10}[/] {escape(line.rstrip())}")
    board.remove_task(task)
    if process.returncode:
        board.console.print(f"[bold red]{part.name:>10}[/] dvc repro ended with exit code {process.returncode}")
    return process.returncode
