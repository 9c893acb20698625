"""Run what is not collected yet: killed at any time, the next call goes on where this one stood."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from soundgate.pipeline.workplace import Workplace
from soundgate.runtime.console import logger
from soundgate.tracks.voice.ablations.collecting import collect, is_collected
from soundgate.tracks.voice.ablations.launching import gpus_of, launched
from soundgate.tracks.voice.ablations.planning import Pipeline, Planned
from soundgate.tracks.voice.ablations.queue import ENDED, QUEUED, Queue

_PAUSE_S = 1.0


class Means(NamedTuple):
    """What runs the arms.

    Args:
        jobs: runs at a time.
        gpus: dealt out to the jobs; none: as the environment has it.
        processes: that each training runs in.
    """

    jobs: int
    gpus: tuple[str, ...]
    processes: int


class Arms:
    """The runs of a profile, in DVC's queue.

    Args:
        runs: all that there are to be.
        profile: theirs.
        pipeline: see `Pipeline`.
        means: see `Means`.
        collected: the profile's folder of collected runs.
        root: of the repository.
    """

    def __init__(
        self, runs: Sequence[Planned], profile: str, pipeline: Pipeline, means: Means, collected: Path, root: Path
    ) -> None:
        self.profile, self.pipeline, self.means, self.collected = profile, pipeline, means, collected
        self.waiting = {run.name: run for run in runs if not is_collected(run, collected)}
        self.root = root
        self._repeated: set[str] = set()

    def run(self) -> list[str]:
        """Run and collect; return the names of what failed.

        Raises:
            TrainingError: the shared stages fail, or DVC refuses an experiment.
        """
        if not self.waiting:
            return []
        with Workplace(self.root, "ablations") as self.workplace:
            self.queue = Queue(self.workplace)
            self._collect_finished()
            try:
                return self._run_all()
            except KeyboardInterrupt:
                self.queue.stop_workers()
                raise

    def _run_all(self) -> list[str]:
        failed = []
        self._put_all()
        while self.waiting:
            failed += self._look()
            self._keep_workers()
            time.sleep(_PAUSE_S if self.waiting else 0)
        return failed

    def _put_all(self) -> None:
        """Queue what is not queued; what a dead worker had in hand comes first, for its work is half done."""
        states, alive = self.queue.states(), bool(self.queue.workers())
        lost = [name for name in self.waiting if name in states and states[name] != QUEUED]
        if alive:
            lost = [name for name in lost if states[name] == ENDED]
        else:
            self.queue.clear_leftovers()
        first = [name for name in lost if states[name] != ENDED]
        missing = [name for name in self.waiting if name not in states or name in lost]
        if missing and not alive:
            run = self.waiting[missing[0]]
            overrides = [f"profile={self.profile}", *run.further]
            self.workplace.prepare(overrides, [f"{stage}@{self.profile}" for stage in self.pipeline.shared])
        self.queue.drop(lost)
        for name in sorted(missing, key=lambda name: name not in first):
            self._put(self.waiting[name])
            self._keep_workers()

    def _put(self, run: Planned) -> None:
        self.queue.put(run.name, run.overrides, f"{self.pipeline.target}@{self.profile}")
        logger.info("Queued: %s, seed %d", run.arm, run.seed)

    def _look(self) -> list[str]:
        """Collect what has finished; return what has failed."""
        states, workers = self.queue.states(), self.queue.workers()
        self._collect_finished()
        failed = []
        for name, run in list(self.waiting.items()):
            state = states.get(name)
            if state == QUEUED or (state not in (None, ENDED) and workers):
                continue
            if state != ENDED and name not in self._repeated:
                logger.warning("%s, seed %d: its worker died, queued again", run.arm, run.seed)
                self._repeated.add(name)
                self.queue.drop([name])
                self._put(run)
                continue
            tail = " | ".join(self.queue.log(name).strip().splitlines()[-4:])
            logger.error("%s, seed %d failed: %s", run.arm, run.seed, tail or "it printed nothing")
            failed.append(name)
            del self.waiting[name]
        return failed

    def _keep_workers(self) -> None:
        if QUEUED not in self.queue.states().values():
            return
        alive = self.queue.workers()
        for number in range(1, self.means.jobs + 1):
            if number not in alive:
                self.queue.start_worker(number, self._environment(number))

    def _environment(self, worker: int) -> dict[str, str]:
        _, gpus, processes = self.means
        environment = self.workplace.environment(gpus_of(worker - 1, gpus, processes))
        return launched(environment, self.workplace.work / "bin", self.pipeline.trainer, processes)

    def _collect_finished(self) -> None:
        for name, run in list(self.waiting.items()):
            commit = self.workplace.experiment(name)
            if commit is None:
                continue
            further = {"commit": self.workplace.commit, "processes": self.means.processes}
            further |= costs(self.queue.log(name), self.pipeline.trained)
            collect(run, commit, self.workplace.folder, self.pipeline, self.collected, further)
            logger.info("Collected: %s, seed %d (%d to go)", run.arm, run.seed, len(self.waiting) - 1)
            del self.waiting[name]


def costs(log: str, stage: str) -> dict[str, float | None]:
    """Return what a run's log says of its training: ``train_seconds``, ``gpu_seconds``, ``peak_memory_mb``.

    None where it does not say; seconds also where the training went on from an earlier one's work.

    Args:
        log: of the experiment.
        stage: that trains.
    """
    seconds = re.search(rf"\b{stage}: done in ([\d.]+) s", log)
    resumed = re.search(rf"Going on in \S*/{stage}/", log)
    memory = re.search(rf"\b{stage}: at most ([\d.]+) MB", log)
    train = float(seconds[1]) if seconds and not resumed else None
    gpu = None if train is None else train * ("Device: cuda" in log)
    return {"train_seconds": train, "gpu_seconds": gpu, "peak_memory_mb": float(memory[1]) if memory else None}
