"""Arithmetic on one thread: how threads share a sum decides its last bits, and a long training makes much of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from soundgate.runtime.errors import ConfigError

VARIABLE = "SOUNDGATE_THREADS"
# Read by libraries that are loaded later, and by child processes.
_LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def thread_count() -> int:
    """Return how many threads an operation may use: ``SOUNDGATE_THREADS``, by default 1.

    Raises:
        ConfigError: the variable is not a positive whole number.
    """
    text = os.environ.get(VARIABLE, "1")
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(VARIABLE, expected="a whole number of at least 1", found=repr(text))
    return int(text)


@contextmanager
def own_threads() -> Iterator[None]:
    """Give each operation of PyTorch, BLAS and OpenMP `thread_count` threads while inside, whatever the machine has."""
    count = thread_count()
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else None
    named = {name: os.environ.get(name) for name in _LIBRARIES}
    os.environ |= dict.fromkeys(_LIBRARIES, str(count))
    with threadpool_limits(count):
        if torch:
            torch.set_num_threads(count)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)
            for name, value in named.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value
