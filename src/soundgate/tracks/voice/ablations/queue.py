"""DVC's queue of experiments: what waits, runs, failed, and the workers that take from it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.experiments.queue.base import QueueEntry
from dvc.repo.experiments.queue.remove import remove_tasks

from soundgate.pipeline.workplace import Workplace

QUEUED, RUNNING, ENDED = "queued", "running", "ended"
_DIGITS = 15


class Queue:
    """The queue of a workplace.

    Args:
        workplace: whose.
    """

    def __init__(self, workplace: Workplace) -> None:
        self.workplace = workplace
        self._repo = Repo(str(workplace.folder))
        self._queue = self._repo.experiments.celery_queue
        wdir = hashlib.sha256(self._queue.wdir.encode()).hexdigest()[:6]
        # DVC's own names, so that its commands find these workers.
        self._prefix, self._host = f"dvc-exp-{wdir}-", "@localhost"
        self._started: list[subprocess.Popen] = []

    def states(self) -> dict[str, str]:
        """Return the state of every experiment in the queue by name: queued, running, or ended in whatever way."""
        return {name: state for name, (state, _) in self._entries().items()}

    def put(self, name: str, overrides: Sequence[str], target: str) -> None:
        """Queue an experiment behind those that are queued.

        Raises:
            TrainingError: DVC refuses it.
        """
        settings = [part for override in overrides for part in ("-S", override)]
        self.workplace.dvc("exp", "run", "--queue", "--name", name, *settings, target)
        keep_order(Path(self._queue.wdir) / "broker/in")

    def drop(self, names: Iterable[str]) -> None:
        """Take experiments out of the queue, whatever their state; none of them may be at work."""
        entries = self._entries()
        known = [name for name in names if name in entries]
        lost = {entries[name][1]: name for name in known if entries[name][0] == RUNNING}
        if lost:
            # As `dvc queue kill` does for a task whose process is gone: one without a result cannot be removed.
            self._queue._mark_inactive_tasks_failure(lost)
        remove_tasks(self._queue, [entries[name][1] for name in known])

    def log(self, name: str) -> str:
        """Return what an experiment printed; empty where it printed nothing."""
        _, entry = self._entries().get(name, (None, None))
        process = None if entry is None else self._queue.proc.get(entry.stash_rev)
        path = None if process is None else Path(process.stdout)
        return path.read_text(encoding="utf-8", errors="replace") if path is not None and path.is_file() else ""

    def workers(self) -> set[int]:
        """Return the numbers of the workers that are alive, whoever started them."""
        for process in self._started:
            process.poll()
        found = set()
        for process in psutil.process_iter(["cmdline"]):
            for part in process.info["cmdline"] or []:
                if part.startswith(self._prefix) and part.endswith(self._host):
                    found.add(int(part.removeprefix(self._prefix).removesuffix(self._host)))
        return found

    def start_worker(self, number: int, environment: Mapping[str, str]) -> None:
        """Start a worker; it ends by itself when nothing is queued."""
        name = f"{self._prefix}{number}{self._host}"
        command = [sys.executable, "-m", "dvc", "exp", "queue-worker", name, *(["--clean"] if number == 1 else [])]
        with (Path(self._queue.wdir) / f"worker-{number}.out").open("ab") as log:
            self._started.append(
                subprocess.Popen(
                    command,
                    cwd=self.workplace.folder,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    process_group=0,
                )  # fmt: skip
            )

    def stop_workers(self) -> None:
        """End the workers that were started here, with what they run."""
        for worker in self._started:
            if worker.poll() is None:
                process = psutil.Process(worker.pid)
                for child in [*process.children(recursive=True), process]:
                    _kill(child)
                worker.wait()

    def clear_leftovers(self) -> None:
        """Remove the folders of experiments that were killed; no worker may be alive."""
        for folder in (self.workplace.folder / ".dvc/tmp/exps").glob("tmp*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _entries(self) -> dict[str, tuple[str, QueueEntry]]:
        """Return state and entry of each name; an experiment only ever moves on in the order read here."""
        found = {entry.name: (QUEUED, entry) for entry in self._queue.iter_queued()}
        found |= {entry.name: (RUNNING, entry) for entry in self._queue.iter_active()}
        try:
            found |= {done.entry.name: (ENDED, done.entry) for done in self._queue.iter_done()}
        except DvcException:  # One whose record is gone; it stands as running, and is taken for lost later.
            pass
        return found


def keep_order(waiting: Path) -> None:
    """Give the files of queued experiments names that sort as they were queued.

    Workers take them in the order of their names, and those begin with the milliseconds since the machine was started:
    without leading zeros, what is queued after 1,000 s (10,000 s, ...) comes before what was queued just before that.

    Args:
        waiting: the folder of the files.
    """
    for message in waiting.glob("*.celery.msg"):
        since_start, _, rest = message.name.partition("_")
        with suppress(FileNotFoundError):  # A worker was faster.
            message.rename(message.with_name(f"{since_start.zfill(_DIGITS)}_{rest}"))


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        pass
