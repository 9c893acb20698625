"""SIGKILL at random moments, told by what a process has finished: the same on an idle machine and on a busy one."""

import multiprocessing
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.waiting import wait_until

# Children start from a process that has imported what takes long, the tests that kill among it, so that most of their
# time is work.
PRELOADED = [
    "pytest", "pyarrow", "zarr", "pyroomacoustics", "torch._inductor",
    "soundgate", "librosa.beat", "librosa.feature.spectral",  # Numba compiles what they import.
    "stages.editor.reconstruct", "stages.editor.render", "stages.editor.vocoder",
    "stages.transfer.content", "stages.transfer.judge", "stages.transfer.mel",
    "stages.voice.cache", "stages.voice.judge", "stages.voice.speaker", "stages.voice.train",
    "tests.hashed_stages",
    "tests.codecs.test_lyra",
    "tests.tracks.editor.test_killed_training", "tests.tracks.rooms.test_rendering",
    "tests.tracks.transfer.test_killed_training", "tests.tracks.voice.test_killed_encoders",
]  # fmt: skip


def forkserver():
    """Return the context of processes to kill; they see no environment variable that a test has set."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def finish(function, *arguments):
    """Run a function to its end in a process of its own."""
    process = forkserver().Process(target=function, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0, "the work failed by itself"


def present(folder, pattern):
    """Return the files of a folder at work that match, and what changes where one is written again.

    Files and folders may come and go meanwhile; those whose names begin with a dot are not finished.
    """
    found = {}
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names if not name.startswith(".")):
            if path.match(pattern):
                with suppress(FileNotFoundError):
                    found[path] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


class Killer:
    """Starts a function in a process of its own and kills it.

    Args:
        progress: returns something else whenever the work has finished one part more, on disk.
        most: a kill falls between 0 and this many finished parts after the start, evenly drawn.
        seed: of the draws.
    """

    def __init__(self, progress, most, seed=0):
        self.progress, self.most, self.random = progress, most, random.Random(seed)
        # Until the first part after a start, which takes longer, and from one part to the next.
        self.first_s = self.part_s = 0.0

    def attempt(self, function, *arguments):
        """Run the function until it is killed; return whether it ended by itself before that."""
        parts, share = divmod(self.random.uniform(0, self.most), 1)
        context = forkserver()
        begun = context.Event()
        process = context.Process(target=_begin, args=(begun, function, *arguments))
        process.start()
        wait_until(lambda: begun.is_set() or process.exitcode is not None, "the start of the work")
        for number in range(int(parts)):
            waited_s = self._wait_for_a_part(process)
            if number:
                self.part_s = waited_s
            else:
                self.first_s = waited_s
        process.join(share * (self.part_s if parts else self.first_s))
        if process.exitcode is None:
            process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), "the work failed by itself"
        return process.exitcode == 0

    def _wait_for_a_part(self, process):
        since, before = time.monotonic(), self.progress()
        wait_until(lambda: process.exitcode is not None or self.progress() != before, "one part more")
        return time.monotonic() - since


def _begin(begun, function, *arguments):
    begun.set()
    function(*arguments)
