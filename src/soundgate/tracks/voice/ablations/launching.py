"""Arms whose training runs in several processes: a `python` in front of the others that starts them by `torchrun`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from soundgate.runtime.errors import ConfigError
from soundgate.runtime.files import atomic_path

_LAUNCHER = """#!/bin/sh
# `python -m {module}` in {n} processes; every other command as it is.
if [ "$1 $2" = "-m {module}" ]; then
  exec {python} -m torch.distributed.run --standalone --nproc_per_node {n} "$@"
fi
exec {python} "$@"
"""


def launched(environment: Mapping[str, str], folder: Path, module: str, n_processes: int) -> dict[str, str]:
    """Return an environment in which one module runs in several processes, without any command being changed.

    Commands stay those of dvc.yaml, since how many processes train is no part of what is trained.

    Args:
        environment: to begin with.
        folder: for the `python` that starts them.
        module: that trains, as ``python -m`` names it.
        n_processes: 1: the environment as it is.
    """
    if n_processes == 1:
        return dict(environment)
    path = folder / "python"
    with atomic_path(path) as unfinished:
        text = _LAUNCHER.format(module=module, n=n_processes, python=shlex.quote(sys.executable))
        unfinished.write_text(text, encoding="utf-8")
        unfinished.chmod(0o755)
    return dict(environment) | {"PATH": os.pathsep.join([str(folder), environment["PATH"]])}


def gpus_of(job: int, gpus: Sequence[str], n_processes: int) -> str | None:
    """Return the GPUs of a job, by commas: as many as it has processes; None where none are given.

    Args:
        job: from 0; jobs beyond the GPUs share them.
        gpus: dealt out to the jobs.
        n_processes: of each job's training.

    Raises:
        ConfigError: fewer GPUs than processes.
    """
    if not gpus:
        return None
    n_groups = len(gpus) // n_processes
    if not n_groups:
        remedy = "Name more GPUs, or give a smaller --ddp."
        raise ConfigError("--gpus", expected=f"{n_processes} for --ddp", found=", ".join(gpus), remedy=remedy)
    first = job % n_groups * n_processes
    return ",".join(gpus[first : first + n_processes])
