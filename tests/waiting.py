"""Waiting for what can be seen, never for so many seconds."""

import time

# Of every wait: much longer than anything takes on a busy machine, so that only what never comes reaches it.
LIMIT_S = 300
_POLL_S = 0.005


def wait_until(condition, awaited, pause=time.sleep):
    """Return the first true value of a condition.

    Args:
        condition: called again and again.
        awaited: what it says where that value never comes.
        pause: what passes the seconds between two calls.
    """
    end = time.monotonic() + LIMIT_S
    while not (value := condition()):
        assert time.monotonic() < end, f"{awaited}: not within {LIMIT_S} s"
        pause(_POLL_S)
    return value
