"""One executor for CPU-bound work over items: processes here, or a Dask cluster, with identical results."""

from __future__ import annotations

import os
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar

import joblib
from threadpoolctl import ThreadpoolController

from soundgate.runtime.console import logger, track
from soundgate.runtime.errors import ConfigError
from soundgate.runtime.instructions import _PINS
from soundgate.runtime.scratch import scratch_root

if TYPE_CHECKING:
    from distributed import Client, Future

Item = TypeVar("Item")
Result = TypeVar("Result")

_CLUSTER = "SOUNDGATE_CLUSTER"
# Within which a scheduler answers, and how long none is missed where no worker is left.
_ANSWER_S = 5
_PATIENCE_S = 10
# Items that are given out at a time, for each thread of the cluster: their results wait at the workers.
_AHEAD = 8
_HOW = "docs/cluster.md says what workers must share."


def worker_count() -> int:
    """Return how many workers to use: ``SOUNDGATE_WORKERS``, else one for each core this process may use.

    Raises:
        ConfigError: the variable is not a positive whole number.
    """
    text = os.environ.get("SOUNDGATE_WORKERS")
    if text is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    if not text.isdigit() or int(text) < 1:
        raise ConfigError("SOUNDGATE_WORKERS", expected="a whole number of at least 1", found=repr(text))
    return int(text)


def map_items(
    function: Callable[[Item], Result], items: Iterable[Item], description: str, workers: int | None = None
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in the order of the items.

    Args:
        function: a picklable function whose result depends on its item alone.
        items: the work, materialised before it is sent out.
        description: shown beside the progress bar.
        workers: processes to use here. By default the work goes to the Dask scheduler that ``SOUNDGATE_CLUSTER``
            names (``tcp://host:port``), or without one to ``worker_count()`` processes.

    Raises:
        ConfigError: a cluster is named but the ``cluster`` extra is not installed, its scheduler does not answer or
            goes, a worker would not give the results that this process gives, or an item ends every worker.
    """
    items = list(items)
    function = partial(_single_threaded, function)
    address = os.environ.get(_CLUSTER)
    if address and workers is None:
        results = _map_on_cluster(address, function, items)
    else:
        results = _map_here(function, items, workers or worker_count())
    with closing(results):
        yield from track(results, description, len(items))


def _map_here(function: Callable[[Item], Result], items: list[Item], workers: int) -> Iterator[Result]:
    n_jobs = min(workers, max(len(items), 1))
    backend = {} if n_jobs == 1 else {"backend": "loky", "inner_max_num_threads": 1}
    with joblib.parallel_config(**({"backend": "sequential"} | backend)):
        yield from joblib.Parallel(n_jobs=n_jobs, return_as="generator")(
            joblib.delayed(function)(item) for item in items
        )


def _single_threaded(function: Callable[[Item], Result], item: Item) -> Result:
    """Call with one BLAS and OpenMP thread, so that no result depends on how many workers share the cores."""
    with _thread_pools().limit(limits=1):
        return function(item)


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


def _map_on_cluster(address: str, function: Callable[[Item], Result], items: list[Item]) -> Iterator[Result]:
    """Give out items a bounded distance ahead; a result is sent here when its turn has come."""
    todo, pending = iter(items), deque()
    warn_once = cache(logger.warning)
    with _dask_client(address) as client, _place() as place:
        while True:
            threads = _threads(client, address)
            wanted = _AHEAD * max(threads, 1) - len(pending)
            pending.extend(
                client.submit(_on_worker, place, function, item, pure=False) for item in islice(todo, max(wanted, 0))
            )
            if not pending:
                return
            yield _result(client, address, pending.popleft(), warn_once)


def _dask_client(address: str) -> Client:
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise ConfigError(
            _CLUSTER,
            expected="the 'cluster' extra",
            found=str(error),
            remedy="Run: uv sync --extra cluster",
        ) from error
    try:
        return Client(address, timeout=_ANSWER_S)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            _CLUSTER,
            expected=f"a Dask scheduler that answers within {_ANSWER_S} s, as tcp://host:port",
            found=f"none at {address}",
            remedy="Start one ('dask scheduler'), or unset the variable to work here.",
        ) from error


def _threads(client: Client, address: str) -> int:
    try:
        return sum(client.nthreads().values())
    except (OSError, TimeoutError) as error:
        _lost(address, error)


def _result(client: Client, address: str, future: Future, warn_once: Callable[..., None]) -> object:
    """Return what an item gave, or raise what it raised; a run is told once that it waits for a worker."""
    from distributed import CancelledError, KilledWorker, wait

    while not future.done():
        try:
            wait(future, timeout=_PATIENCE_S)
        except TimeoutError:
            if _threads(client, address) == 0:
                warn_once("The scheduler at %s has no worker: waiting for one", address)
        except (CancelledError, OSError) as error:
            _lost(address, error)
    try:
        return future.result()
    except KilledWorker as error:
        raise ConfigError(
            _CLUSTER,
            expected="workers that live as long as their items",
            found=f"an item at whose work workers died again and again, the last one {error.last_worker.address}",
            remedy="See what they wrote last; most often their memory was too small.",
        ) from error
    except CancelledError as error:
        _lost(address, error)


def _lost(address: str, error: BaseException) -> NoReturn:
    raise ConfigError(
        _CLUSTER,
        expected="a scheduler that lives as long as the stage",
        found=f"none any more at {address}",
        remedy="Start it and the stage again: finished parts are kept.",
    ) from error


class _Place(NamedTuple):
    """What this process works with, and a worker must work with too.

    Args:
        code: of this module.
        marker: a file in the work folder, with a name that no other run's has.
        folder: what relative paths are relative to.
        pins: what the arithmetic libraries are held to, ``VARIABLE=value`` where one is set.
    """

    code: str
    marker: str
    folder: str
    pins: tuple[str, ...]


@contextmanager
def _place() -> Iterator[_Place]:
    root = scratch_root().absolute()
    root.mkdir(parents=True, exist_ok=True)
    marker = root / f".cluster-{secrets.token_hex(8)}"
    marker.touch()
    try:
        yield _Place(__file__, str(marker), os.getcwd(), _pins())
    finally:
        marker.unlink(missing_ok=True)


def _pins() -> tuple[str, ...]:
    return tuple(f"{name}={os.environ[name]}" for name in _PINS if name in os.environ)


def _on_worker(place: _Place, function: Callable[[Item], Result], item: Item) -> Result:
    _check_worker(place)
    return function(item)


@cache
def _check_worker(place: _Place) -> None:
    """Refuse to work where results could be lost, or others than those of the process that asks; once a worker."""
    from distributed import get_worker

    worker = get_worker()
    name, threads = f"Dask worker {worker.address}", worker.state.nthreads
    if __file__ != place.code:
        raise ConfigError(name, expected=f"the code {place.code}", found=__file__, remedy=_HOW)
    if not Path(place.marker).exists():
        found = "a folder of its own, or none"
        raise ConfigError(name, expected=f"the shared folder {Path(place.marker).parent}", found=found, remedy=_HOW)
    if os.getcwd() != place.folder:
        raise ConfigError(name, expected=f"a start in {place.folder}", found=f"one in {os.getcwd()}", remedy=_HOW)
    if _pins() != place.pins:
        expected, found = (" ".join(pins) or "no pinned instructions" for pins in (place.pins, _pins()))
        raise ConfigError(name, expected=expected, found=found, remedy=_HOW)
    if threads != 1:
        raise ConfigError(name, expected="one thread (--nthreads 1)", found=f"{threads} threads", remedy=_HOW)
