"""Which stage runs when: those whose inputs are there, the ones with the longest way behind them first."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import networkx as nx
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.rwlock import RWLOCK_FILE, rwlock
from dvc.stage import PipelineStage
from dvc.stage.cache import RunCacheNotFoundError
from dvc.stage.serialize import to_lockfile
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from soundgate.pipeline.durations import note_duration
from soundgate.pipeline.guard import Guard
from soundgate.pipeline.lock_file import LockFile
from soundgate.pipeline.readers import clear_dead

_RETRY_S = 1.0
_END_S = 5.0


@dataclass
class Job:
    """A stage whose command runs.

    Attributes:
        stage: DVC's.
        process: its shell, the leader of a process group of its own.
        held: what keeps other DVC processes from its inputs and outputs.
        ended: set when nothing of its group is left to wait for.
        started: when, by the monotonic clock.
    """

    stage: PipelineStage
    process: subprocess.Popen
    held: ExitStack
    ended: threading.Event = field(default_factory=threading.Event)
    started: float = field(default_factory=time.monotonic)


class Scheduler:
    """One run of a pipeline.

    Args:
        repo: DVC's view of the repository; its lock is held only between commands, so that other DVC commands work.
        graph: its stages, an edge from each to every stage it needs.
        jobs: stages at a time.
        environment: of the stages.
        guard: ends the stages if this process is killed.
    """

    def __init__(self, repo: Repo, graph: nx.DiGraph, jobs: int, environment: Mapping[str, str], guard: Guard) -> None:
        self._repo, self._graph, self._jobs, self._environment, self._guard = repo, graph, jobs, environment, guard
        self._lock_file = LockFile(Path(repo.root_dir), map(_address, repo.index.stages))
        self._running: dict[PipelineStage, Job] = {}
        self._lines: queue.SimpleQueue[tuple[Job, str | None]] = queue.SimpleQueue()
        self._done: set[PipelineStage] = set()
        self._failed: list[PipelineStage] = []
        self._skipped: set[PipelineStage] = set()
        self._told = ""
        self._counts = {"ran": 0, "restored from the cache": 0, "up to date": 0}
        self._behind = {stage: nx.ancestors(graph, stage) for stage in graph}
        place = {stage: number for number, stage in enumerate(nx.lexicographical_topological_sort(graph, key=_address))}
        length = _longest_ways(graph)
        self._order = sorted(graph, key=lambda stage: (-length[stage], place[stage]))
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        self._board = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def run(self) -> list[str]:
        """Run what is out of date; return the addresses of the stages that failed."""
        with self._repo.lock:
            clear_dead(Path(self._repo.tmp_dir, RWLOCK_FILE), os.getpid())
        with self._board:
            task = self._board.add_task("stages", total=len(self._graph))
            try:
                while len(self._done) + len(self._failed) + len(self._skipped) < len(self._graph):
                    waiting = self._begin_what_can()
                    if self._running:
                        self._next_line(_RETRY_S if waiting else None)
                    elif waiting:
                        time.sleep(_RETRY_S)
                    names = ", ".join(job.stage.addressing for job in self._running.values())
                    self._board.update(task, completed=len(self._done), description=names or "stages")
            except BaseException:
                self._end_running()
                raise
        counts = ", ".join(f"{number} {what}" for what, number in self._counts.items() if number)
        self._say("soundgate", f"stages: {counts or 'none'}")
        if self._failed:
            names = ", ".join(sorted(map(_address, self._skipped))) or "none"
            failed = ", ".join(map(_address, self._failed))
            self._say("soundgate", f"failed: {failed}; not run because of that: {names}", "bold red")
        return [stage.addressing for stage in self._failed]

    def _begin_what_can(self) -> bool:
        """Begin stages until all places are taken; return whether one waits for another DVC process."""
        began = True
        while began:
            began = False
            for stage in self._order:
                if len(self._running) >= self._jobs:
                    return False
                if stage in self._done or stage in self._running or stage in self._failed or stage in self._skipped:
                    continue
                if not self._done.issuperset(self._graph.successors(stage)):
                    continue
                try:
                    self._begin(stage)
                except LockError as error:
                    self._wait_for(str(error))
                    return True
                except (DvcException, OSError) as error:
                    self._fail(stage, " ".join(str(error).split()) or type(error).__name__)
                began = stage in self._done
                if began:
                    break
        return False

    def _wait_for(self, blocker: str) -> None:
        blocker = " ".join(blocker.split("\n\n")[0].split())
        if blocker != self._told:
            self._say("soundgate", f"waiting: {blocker}")
            self._told = blocker

    def _begin(self, stage: PipelineStage) -> None:
        """Run a stage, or find that there is nothing to do, or its result in the cache."""
        with self._locked():
            if not stage.changed():
                self._finish(stage, "up to date")
                return
            stage.remove_outs(ignore_remove=False, force=False)
            try:
                self._repo.stage_cache.restore(stage)
            except RunCacheNotFoundError:
                stage.save_deps()
            else:
                self._record(stage)
                self._say(stage.addressing, "restored from the cache")
                self._finish(stage, "restored from the cache")
                return
            held = ExitStack()
            held.enter_context(self._reserved(stage))
        self._say(stage.addressing, f"Running stage '{stage.addressing}'")
        self._running[stage] = job = Job(stage, self._start(stage), held)
        self._guard.watch(job.process.pid)
        threading.Thread(target=self._attend, args=[job], daemon=True).start()

    def _start(self, stage: PipelineStage) -> subprocess.Popen:
        own = {"DVC_STAGE": stage.addressing, "DVC_ROOT": self._repo.root_dir}
        return subprocess.Popen(
            stage.cmd if isinstance(stage.cmd, str) else " && ".join(stage.cmd),
            shell=True,
            cwd=stage.wdir,
            env=dict(self._environment) | own,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )

    def _attend(self, job: Job) -> None:
        """Pass a stage's lines on until its command has ended, then end what it left behind."""
        reader = threading.Thread(target=self._read, args=[job], daemon=True)
        reader.start()
        # Not collected yet: its number cannot be another group's.
        os.waitid(os.P_PID, job.process.pid, os.WEXITED | os.WNOWAIT)
        with suppress(ProcessLookupError):
            os.killpg(job.process.pid, signal.SIGKILL)
        reader.join()
        job.ended.set()
        self._lines.put((job, None))

    def _read(self, job: Job) -> None:
        for line in job.process.stdout:
            self._lines.put((job, line))

    def _next_line(self, timeout: float | None) -> None:
        """Show the next line of a stage, or note that it has ended."""
        try:
            job, line = self._lines.get(timeout=timeout)
        except queue.Empty:
            return
        if line is not None:
            if line.strip():
                self._say(job.stage.addressing, line.rstrip())
            return
        code = job.process.wait()
        self._guard.leave(job.process.pid)
        del self._running[job.stage]
        try:
            with self._locked():
                job.held.close()
                if code == 0:
                    self._record(job.stage)
        except (DvcException, OSError) as error:
            self._fail(job.stage, " ".join(str(error).split()))
            return
        if code:
            self._fail(job.stage, f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}")
            return
        seconds = time.monotonic() - job.started
        note_duration(Path(self._repo.root_dir), job.stage.addressing, seconds)
        self._say(job.stage.addressing, f"done in {seconds:.0f} s")
        self._finish(job.stage, "ran")

    def _record(self, stage: PipelineStage) -> None:
        """Hash the stage's inputs and outputs, move these to the cache, write the stage's entry."""
        stage.save(run_cache=True)
        stage.commit()
        ((name, entry),) = to_lockfile(stage).items()
        self._lock_file.record(name, entry)
        self._repo.scm_context.track_file(stage.dvcfile._lockfile.relpath)

    def _finish(self, stage: PipelineStage, how: str) -> None:
        self._done.add(stage)
        self._counts[how] += 1

    def _fail(self, stage: PipelineStage, reason: str) -> None:
        self._failed.append(stage)
        self._skipped |= self._behind[stage]
        self._say(stage.addressing, reason, "bold red")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold DVC's lock; what dead processes left of its list of readers and writers is cleared."""
        with self._repo.lock:
            clear_dead(Path(self._repo.tmp_dir, RWLOCK_FILE))
            yield

    @contextmanager
    def _reserved(self, stage: PipelineStage) -> Iterator[None]:
        """Keep other DVC processes from what a stage reads and writes, as DVC does while a command runs."""
        reads = [dep.fs_path for dep in stage.deps]
        writes = [out.fs_path for out in stage.outs]
        name = f"{' '.join(sys.argv)} ({stage.addressing})"
        with rwlock(self._repo.tmp_dir, self._repo.fs, name, reads, writes, False):
            yield

    def _end_running(self) -> None:
        """Ask the stages under way to end; what is left after a while the guard kills."""
        for job in self._running.values():
            with suppress(ProcessLookupError):
                os.killpg(job.process.pid, signal.SIGTERM)
        until = time.monotonic() + _END_S
        for job in self._running.values():
            job.ended.wait(max(0.0, until - time.monotonic()))
        with suppress(DvcException, OSError), self._locked():
            for job in self._running.values():
                job.held.close()

    def _say(self, name: str, line: str, style: str = "bold") -> None:
        self._board.console.print(f"[{style}]{escape(name)}[/] {escape(line)}")


def _address(stage: PipelineStage) -> str:
    return stage.addressing


def _longest_ways(graph: nx.DiGraph) -> dict[PipelineStage, int]:
    """Return for each stage how many stages the longest chain has that can only come after it."""
    lengths: dict[PipelineStage, int] = {}
    for stage in nx.topological_sort(graph):  # Those that nothing waits for come first.
        lengths[stage] = 1 + max((lengths[after] for after in graph.predecessors(stage)), default=0)
    return lengths
