"""What every stage command shares: logging, errors in one line, paths as options, deterministic PyTorch."""

from __future__ import annotations

import errno
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from soundgate.runtime.console import logger, set_up_logging
from soundgate.runtime.errors import SoundgateError
from soundgate.runtime.paths import printable
from soundgate.runtime.processes import main_outputs, processes
from soundgate.runtime.scratch import scratch_root
from soundgate.runtime.threads import own_threads

# What is wrong with the disk, or with a place that a command was given.
UNWRITABLE = dict.fromkeys(
    (
        *(errno.EEXIST, errno.EIO, errno.EISDIR, errno.ELOOP, errno.EMFILE, errno.ENAMETOOLONG, errno.ENOTDIR),
        *(errno.ENOTEMPTY, errno.EPERM, errno.ESTALE),
    ),
    "Name another place, or see what is wrong there.",
) | {
    errno.EFBIG: "Allow larger files (ulimit -f), or work in a place that holds them.",
    errno.ENOSPC: "Make room and run again: what was finished is kept.",
    errno.EDQUOT: "Make room in the quota and run again: what was finished is kept.",
    errno.EROFS: "Work in a folder that can be written to.",
    errno.EACCES: "Allow reading and writing there.",
}


def stage_command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function the command of the DVC stage ``name``.

    The function's docstring is its help. It computes on as many threads on every machine, see `own_threads`. A
    ``SoundgateError`` ends the process with exit code 1 and one red line; anything else is a defect of ours and keeps
    its traceback. Under ``torchrun`` or ``accelerate launch`` a training is shared, see `soundgate.runtime.processes`.

    Args:
        name: the stage, ``structure-split`` for ``stages/structure/split.py``.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(**options: object) -> None:
            set_up_logging()
            started = time.monotonic()
            outputs = {param.name: options[param.name] for param in command.params if isinstance(param.type, _Output)}
            with errors_in_one_line(), own_threads(), processes(), main_outputs(outputs) as paths:
                function(**options | paths)
            logger.info("%s: done in %.1f s", name, time.monotonic() - started)

        command = click.command(name, context_settings={"help_option_names": ["-h", "--help"]})(run)
        return command

    return decorate


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turn a ``SoundgateError``, and a place that cannot be read or written, into one red line and exit code 1."""
    try:
        yield
    except SoundgateError as error:
        click.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        # Of two names the second is the one that was given: the first is of a part beside it.
        names = [name for name in (error.filename2, error.filename) if isinstance(name, str | bytes) and name]
        where = f"{printable(os.fsdecode(names[0]))}: " if names else ""
        click.secho(f"{where}{error.strerror}. {UNWRITABLE[error.errno]}{_elsewhere(error)}", fg="red", err=True)
        sys.exit(1)


def _elsewhere(error: OSError) -> str:
    """Return how to move the work folders, where it is them that cannot be written to."""
    if not isinstance(error.filename, str | bytes):
        return ""
    in_scratch = Path(os.fsdecode(error.filename)).absolute().is_relative_to(scratch_root().absolute())
    return " SOUNDGATE_SCRATCH moves the work folders." if in_scratch else ""


def input_option(name: str, help_text: str, multiple: bool = False) -> Callable:
    """Return an option for a file or folder the stage reads; it must exist."""
    kind = click.Path(exists=True, path_type=Path)
    return click.option(f"--{name}", type=kind, required=True, multiple=multiple, help=help_text)


def origin_option() -> Callable:
    """Return the option for a corpus's source list or folder: by default the one of the stage's parameters.

    No path of the user's stands in dvc.yaml's commands, where a shell would read it.
    """
    help_text = "The source list, or the folder of audio; by default, and otherwise the same as, the parameters'."
    return click.option("--origin", type=click.Path(path_type=Path), help=help_text)


def output_option(name: str, help_text: str) -> Callable:
    """Return an option for a file or folder the stage writes."""
    return click.option(f"--{name}", type=_Output(path_type=Path), required=True, help=help_text)


class _Output(click.Path):
    """Tells outputs from inputs."""


def deterministic_torch(seed: int) -> None:
    """Seed PyTorch and make it refuse algorithms that give other values on a second run.

    On a GPU an operation that has only such algorithms warns and goes on.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    torch.backends.cudnn.benchmark = False
