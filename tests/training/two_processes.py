"""Runs a function in two processes that train together over gloo."""

import os

import torch
from torch import distributed

from soundgate.runtime.processes import processes
from tests.killing import forkserver


def in_two_processes(function, folder, *arguments):
    """Run ``function(rank, folder, *arguments)`` in two processes that train together, as torchrun would start them."""
    # Where they meet, at a port that nobody else can take in between.
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    started = [
        forkserver().Process(target=_joined, args=(rank, store.port, function, folder, *arguments)) for rank in range(2)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0]


def _joined(rank, port, function, folder, *arguments):
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True", "SOUNDGATE_DEVICE": "cpu",
    }  # fmt: skip
    torch.set_num_threads(1)
    with processes():
        function(rank, folder, *arguments)
