"""One executor for CPU-bound work over items: processes here, or a Dask cluster, with identical results."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from typing import TypeVar

import joblib
from threadpoolctl import ThreadpoolController

from soundgate.runtime.console import track
from soundgate.runtime.errors import ConfigError

Item = TypeVar("Item")
Result = TypeVar("Result")


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
        ConfigError: a cluster is named but the ``cluster`` extra is not installed.
    """
    items = list(items)
    function = partial(_single_threaded, function)
    address = os.environ.get("SOUNDGATE_CLUSTER")
    with ExitStack() as stack:
        if address and workers is None:
            stack.enter_context(_dask_client(address))
            stack.enter_context(joblib.parallel_config(backend="dask"))
            parallel = joblib.Parallel(n_jobs=-1, return_as="generator")
        else:
            n_jobs = min(workers or worker_count(), max(len(items), 1))
            backend = {} if n_jobs == 1 else {"backend": "loky", "inner_max_num_threads": 1}
            stack.enter_context(joblib.parallel_config(**({"backend": "sequential"} | backend)))
            parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
        yield from track(parallel(joblib.delayed(function)(item) for item in items), description, len(items))


def _single_threaded(function: Callable[[Item], Result], item: Item) -> Result:
    """Call with one BLAS and OpenMP thread, so that no result depends on how many workers share the cores."""
    with _thread_pools().limit(limits=1):
        return function(item)


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


def _dask_client(address: str):
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise ConfigError(
            "SOUNDGATE_CLUSTER",
            expected="the 'cluster' extra",
            found=str(error),
            remedy="Run: uv sync --extra cluster",
        ) from error
    return Client(address)
