"""A Dask scheduler and workers, each a process of its own, on ports that the system chooses."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

from tests.pipeline_file import ROOT
from tests.waiting import wait_until


class DaskCluster:
    """A running scheduler, and the workers that are started for it.

    Args:
        folder: where the processes start, as in a working tree that all machines share.
        logs: folder of what they write.
    """

    def __init__(self, folder: Path, logs: Path):
        self.folder, self.logs, self.workers = folder, logs, {}
        self._file = logs / "scheduler.json"
        ports = ["--port", "0", "--dashboard-address", "127.0.0.1:0"]
        self._scheduler = self._start("scheduler", *ports, "--idle-timeout", "20 minutes")
        written = wait_until(lambda: self._file.is_file() and self._file.read_text(), "the scheduler's address")
        self.address = json.loads(written)["address"]
        self.client = Client(self.address, set_as_default=False)

    def start_worker(self, name: str, folder: Path | None = None, threads: int = 1, **environment: str) -> None:
        """Start a worker without a nanny, which would start another where this one is killed.

        Args:
            name: no other worker's.
            folder: to start it in, if not the cluster's.
            threads: items that it works on at a time.
            environment: beside this process's.
        """
        options = ["--name", name, "--nthreads", str(threads), "--no-nanny", "--local-directory", str(self.logs / name)]
        options += ["--death-timeout", "60"]
        self.workers[name] = self._start("worker", *options, folder=folder, name=name, **environment)

    def wait_for_workers(self) -> None:
        wait_until(lambda: self._known() == set(self.workers), "workers at the scheduler")

    def kill(self, name: str) -> None:
        """Kill a worker at once, also one that is stopped."""
        process = self.workers.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str) -> None:
        """Leave a worker where it stands: it keeps the items that it was given, and ends none."""
        self.workers[name].send_signal(signal.SIGSTOP)

    def transitions(self) -> int:
        """Return a number that grows with every task that the scheduler is given."""
        return self.client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter)

    def holds_items(self, name: str) -> bool:
        """Return whether the scheduler has given items to a worker that are not done."""
        tasks = self.client.processing()
        return bool(tasks.get(self._addresses().get(name)))

    def is_there(self) -> bool:
        return self._scheduler.poll() is None

    def end_scheduler(self) -> None:
        self._scheduler.kill()
        self._scheduler.wait()

    def close(self) -> None:
        self.client.close()
        for name in list(self.workers):
            self.kill(name)
        self.end_scheduler()

    def _known(self) -> set[str]:
        return set(self._addresses())

    def _addresses(self) -> dict[str, str]:
        return {worker["name"]: address for address, worker in self.client.scheduler_info(-1)["workers"].items()}

    def _start(self, kind: str, *options: str, folder: Path | None = None, name: str = "scheduler", **environment: str):
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--scheduler-file", str(self._file)]
        command += ["--host", "127.0.0.1", "--no-dashboard", *options]
        paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
        with open(self.logs / f"{name}.log", "ab") as log:
            return subprocess.Popen(
                command, cwd=folder or self.folder, env=os.environ | {"PYTHONPATH": paths} | environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip


@contextmanager
def dask_cluster(folder: Path, logs: Path, n_workers: int):
    """Give a cluster of this many workers; none of its processes is left at the end."""
    cluster = DaskCluster(folder, logs)
    try:
        for number in range(n_workers):
            cluster.start_worker(f"first-{number}")
        cluster.wait_for_workers()
        yield cluster
    finally:
        cluster.close()
