"""Runs of the pipeline with other parameters, several at a time, each in a clone; killed, the next call goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import NamedTuple, TypeVar

from dvc.exceptions import DvcException
from dvc.repo import Repo

from soundgate.pipeline.workplace import Workplace
from soundgate.runtime.console import logger
from soundgate.runtime.errors import ConfigError, SoundgateError
from soundgate.runtime.scratch import scratch_root

Named = TypeVar("Named")


class Asked(NamedTuple):
    """What is to be run.

    Args:
        overrides: of the parameters.
        output: what is wanted; the stage that writes it is run, and all that it needs.
        name: of the folder of work that a kill interrupts.
    """

    overrides: Sequence[str]
    output: Path
    name: str


class Clones:
    """Clones of the repository at its last commit; nobody else works in them until they are closed.

    Args:
        root: of the repository.
        name: of the work: they are ``scratch/<name>/<number>/repository``.
        count: of clones, so of runs at a time.
        quiet: show nothing of what DVC says.
    """

    def __init__(self, root: Path, name: str, count: int, *, quiet: bool) -> None:
        self.root, self.name, self.quiet = root, name, quiet
        self._composing = Lock()  # Hydra's state is the process's.
        self._places: SimpleQueue[Workplace] = SimpleQueue()
        with ExitStack() as stack:
            for number in range(1, count + 1):
                self._places.put(stack.enter_context(Workplace(root, f"{name}/{number}")))
            self._opened = stack.pop_all()

    def __enter__(self) -> Clones:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def run_all(self, runs: Mapping[Named, Asked], keep: Callable[[Named, Workplace], None]) -> set[Named]:
        """Run everything; one that fails is logged, and the others go on.

        Args:
            runs: what is asked for, by what messages call it.
            keep: takes from a clone what a run that succeeded gave.

        Returns:
            The runs that succeeded.
        """
        with ThreadPoolExecutor(self._places.qsize()) as pool:
            futures = {run: pool.submit(self._run, run, asked, keep) for run, asked in runs.items()}
            try:
                return {run for run, future in futures.items() if future.result()}
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _run(self, run: Named, asked: Asked, keep: Callable[[Named, Workplace], None]) -> bool:
        """Make one run in a place that is free, and keep what it gave; return whether it succeeded."""
        place = self._places.get()
        work = self.root / scratch_root() / self.name / "work" / asked.name
        try:
            logger.info("%s: begins", run)
            with self._composing:
                place.compose(asked.overrides)
            place.dvc("repro", target_of(place.folder, asked.output), quiet=self.quiet, scratch=work.resolve())
            keep(run, place)
        except SoundgateError as error:
            logger.error("%s failed: %s", run, error)
            return False
        finally:
            self._places.put(place)
        shutil.rmtree(work, ignore_errors=True)
        logger.info("%s: measured", run)
        return True


def target_of(folder: Path, output: Path) -> str:
    """Return the address of the stage that writes an output, as DVC takes it in the repository's folder.

    Args:
        folder: of the repository.
        output: relative to it.

    Raises:
        ConfigError: no stage writes it.
    """
    try:
        with Repo(str(folder)) as repo:
            stage = repo.find_outs_by_path(str(folder / output))[0].stage
            return f"{Path(stage.path).resolve().relative_to(folder.resolve())}:{stage.name}"
    except DvcException as error:
        raise ConfigError(output, expected="a stage that writes it", found=str(error)) from error
