"""Ends the stages of a run whose scheduler is gone, however it ended: a process of its own, started by `Guard`.

It is run as a script, outside any package, so that it starts at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import IO

_POLL_S = 0.02
# What is killed is gone in much less; a zombie that nobody collects never is.
_LONGEST_S = 10.0


class Guard:
    """The scheduler's end of the pipe to the process that watches it.

    Args:
        lock: an open file whose lock is held until the last process of every group is gone.
    """

    def __init__(self, lock: IO) -> None:
        self._lock = lock
        self._groups: set[int] = set()
        self._process = self._started()

    def watch(self, group: int) -> None:
        """Have a process group killed when this process ends, unless it is left alone before."""
        self._groups.add(group)
        self._tell(f"+{group}")

    def leave(self, group: int) -> None:
        """Forget a group that has ended: its number may come again."""
        self._groups.discard(group)
        self._tell(f"-{group}")

    def close(self) -> None:
        """Have all that is still watched killed, and wait until it is gone."""
        self._tell("")
        self._process.stdin.close()
        self._process.wait()

    def _started(self) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            pass_fds=[self._lock.fileno()],
            start_new_session=True,
            text=True,
            bufsize=1,
        )

    def _tell(self, message: str) -> None:
        """Say something to the watching process; where somebody has killed it, another takes its place."""
        try:
            self._process.stdin.write(message + "\n")
        except BrokenPipeError:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait()
            self._process = self._started()
            self._process.stdin.write("".join(f"+{group}\n" for group in self._groups))


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # Of a zombie, on some systems.
        return False
    return True


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    groups: set[int] = set()
    for line in filter(str.strip, sys.stdin):  # Until the scheduler closes it, or is gone.
        group = int(line[1:])
        groups.add(group) if line[0] == "+" else groups.discard(group)
    until = time.monotonic() + _LONGEST_S
    while (groups := {group for group in groups if _alive(group)}) and time.monotonic() < until:
        for group in groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(_POLL_S)


if __name__ == "__main__":
    _main()
