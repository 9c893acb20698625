"""Two processes over gloo, and the functions that share a batch between them."""

import os

import pytest
import torch
from torch import distributed

from soundgate.training.distribution import add_gradients, from_main, is_main, n_processes, own_share, processes, totals
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


def _shares(rank, folder):
    assert n_processes() == 2 and is_main() == (rank == 0)
    share = own_share(6)
    items = torch.arange(6.0)[share]
    weight = torch.nn.Parameter(torch.ones(3))
    unused = torch.nn.Parameter(torch.ones(2))
    (weight * items).sum().div(6).backward()
    add_gradients([weight, unused])
    assert unused.grad is None
    values = totals({"sum": items.sum(), "count": torch.tensor(3.0)})
    told = from_main({"folder": folder} if rank == 0 else None)
    torch.save((weight.grad, values, told), folder / f"{rank}.pt")


def test_two_processes_share_a_batch(tmp_path):
    in_two_processes(_shares, tmp_path)
    expected = torch.tensor([0 + 3.0, 1 + 4, 2 + 5]) / 6
    for rank in range(2):
        gradient, values, told = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        torch.testing.assert_close(gradient, expected)
        assert values == {"sum": 15.0, "count": 6.0} and told == {"folder": tmp_path}


def test_alone_everything_is_ones_own(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with processes():
        assert n_processes() == 1 and is_main() and own_share(5) == slice(0, 5)
        weight = torch.nn.Parameter(torch.ones(2))
        weight.sum().backward()
        add_gradients([weight])
        assert weight.grad.tolist() == [1, 1] and totals({"a": torch.tensor(2.0)}) == {"a": 2.0}
        assert from_main("here") == "here" and totals({}) == {}


def test_a_batch_is_shared_evenly_or_not_at_all(monkeypatch):
    monkeypatch.setattr("soundgate.training.distribution.n_processes", lambda: 2)
    with pytest.raises(AssertionError):
        own_share(5)
