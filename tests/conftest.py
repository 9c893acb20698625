import os

import pytest

# Of the little work in tests most would be the start of processes; tests of workers say how many they want.
os.environ.setdefault("SOUNDGATE_WORKERS", "1")


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable():
    """What a worker reports can be sent: a name that is not UTF-8 would end the whole run, with no test named."""
    return sendable((yield))


def sendable(value):
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {sendable(key): sendable(own) for key, own in value.items()}
    return type(value)(map(sendable, value)) if isinstance(value, list | tuple) else value
