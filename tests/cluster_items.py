"""Items for workers of a cluster to do, in a module that imports little."""

import os

from soundgate.runtime.randomness import keyed_generator
from tests.waiting import wait_until


def draw(folder, item):
    """Give the bytes of a draw; item 3 says who draws it and waits to be killed, the first time."""
    begun = folder / f"{item}.pid"
    if item == 3 and not begun.exists():
        begun.with_suffix(".new").write_text(str(os.getpid()))
        begun.with_suffix(".new").rename(begun)
        wait_until(lambda: False, "the kill")
    return item, os.getpid(), keyed_generator(0, "test-cluster", str(item)).standard_normal(1000).tobytes()


def wait_for(path, item):
    """Give the item; item 5 only after a file is there."""
    if item == 5:
        wait_until(path.exists, "the file")
    return item
