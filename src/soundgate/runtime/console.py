"""What a person sees while a stage runs: one log line format, one progress bar, the device first."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")
logger = logging.getLogger("soundgate")


def set_up_streams() -> None:
    r"""Let nothing that is printed end a command: what a terminal cannot show is printed as ``\xNN`` or ``\uNNNN``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")


def set_up_logging() -> None:
    """Send soundgate's log lines to standard error, once; the level comes from ``SOUNDGATE_LOG`` (default INFO)."""
    set_up_streams()
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.propagate = False
    level = os.environ.get("SOUNDGATE_LOG", "INFO").upper()
    known = logging.getLevelNamesMapping()
    logger.setLevel(known.get(level, logging.INFO))
    if level not in known:
        logger.warning("SOUNDGATE_LOG: expected one of %s; found %r. INFO is used.", ", ".join(known), level)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items`` under a progress bar on standard error; silent where that is not a terminal."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=total)
        for item in items:
            yield item
            progress.advance(task)
