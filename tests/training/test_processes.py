"""A batch shared by two processes over gloo, and the step that they take."""

import math

import pytest
import torch

from soundgate.runtime.errors import TrainingError
from soundgate.runtime.processes import from_main, is_main, n_processes, processes
from soundgate.training.distribution import batch_means, batch_total, own_share, whole_batch
from soundgate.training.finite import NonFiniteBatch, require_finite
from soundgate.training.learner import Learner
from tests.training.two_processes import in_two_processes


def _learner(clip=math.inf):
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 2)
    unused = torch.nn.Parameter(torch.ones(2))
    optimiser = torch.optim.SGD([*network.parameters(), unused], 0.1)
    return network, unused, Learner(optimiser, clip)


def _batch():
    return torch.arange(18.0).view(6, 3).sin()


def _mean_square(network, items):
    return network(items).square().mean()


def _contrast(network, items):
    """A loss that no item has alone."""
    batch = torch.nn.functional.normalize(whole_batch(network(items)), dim=1)
    return torch.nn.functional.cross_entropy(batch @ batch.T / 0.1, torch.arange(len(batch)).roll(1))


def _steps(loss):
    """Take three steps on this process's share."""
    network, unused, learner = _learner(clip=0.5)
    items = _batch()[own_share(6)]
    logged = [learner.descend({"loss": loss(network, items), "size": items.abs().sum()}) for _ in range(3)]
    assert unused.grad is None and unused.tolist() == [1, 1]
    return network.state_dict(), logged


def _parts(network, learner):
    """Add up the gradients of two parts of this process's share."""
    items = _batch()[own_share(6)]
    parts = items.tensor_split(2)
    for number, part in enumerate(parts, 1):
        learner.backward(_mean_square(network, part) * len(part) / len(items), more=number < len(parts))
    return [parameter.grad for parameter in network.parameters()]


def _together(rank, folder):
    assert n_processes() == 2 and is_main() == (rank == 0)
    network, _, learner = _learner()
    told = from_main({"folder": folder} if rank == 0 else None)
    own = torch.tensor([float(rank)])
    torch.save({
        "told": told, "total": batch_total(own), "means": batch_means({"rank": own[0]}), "whole": whole_batch(own),
        "steps": [_steps(loss) for loss in (_mean_square, _contrast)], "parts": _parts(network, learner),
    }, folder / f"{rank}.pt")  # fmt: skip
    with pytest.raises(NonFiniteBatch, match="other not finite"):
        require_finite({"one": torch.tensor(1.0), "other": torch.tensor(torch.inf if rank else 0.0)})


def test_two_processes_learn_what_one_does(tmp_path):
    in_two_processes(_together, tmp_path)
    network, _, learner = _learner()
    expected = {"steps": [_steps(loss) for loss in (_mean_square, _contrast)], "parts": _parts(network, learner)}
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        assert found["told"] == {"folder": tmp_path} and found["means"] == {"rank": 0.5}
        assert found["total"].tolist() == [1] and found["whole"].tolist() == [0, 1]
        torch.testing.assert_close(found["parts"], expected["parts"])
        for (weights, logged), (expected_weights, expected_logged) in zip(
            found["steps"], expected["steps"], strict=True
        ):
            torch.testing.assert_close(weights, expected_weights)
            for here, there in zip(logged, expected_logged, strict=True):
                assert here["loss"] == pytest.approx(there["loss"], rel=1e-5)
                assert 2 * here["size"] == pytest.approx(there["size"], rel=1e-5)


def test_alone_everything_is_ones_own(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with processes():
        assert n_processes() == 1 and is_main() and own_share(5) == slice(0, 5)
        items = torch.ones(2)
        assert whole_batch(items) is items and batch_total(items).tolist() == [1, 1]
        assert from_main("here") == "here" and batch_means({}) == {}


def test_a_step_is_that_of_the_optimiser_alone():
    network, _, learner = _learner(clip=0.5)
    losses = learner.descend({"loss": _mean_square(network, _batch())})
    alone, _, own = _learner()
    loss = _mean_square(alone, _batch())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(alone.parameters(), 0.5)
    own.optimiser.step()
    assert losses == {"loss": float(loss.detach())}
    assert all(torch.equal(*pair) for pair in zip(network.parameters(), alone.parameters(), strict=True))


@pytest.mark.parametrize(("scale", "wrong"), [(torch.inf, "loss, gradient"), (torch.nan, "loss, gradient")])
def test_a_loss_that_is_not_finite_moves_nothing(scale, wrong):
    network, _, learner = _learner()
    before = [parameter.clone() for parameter in network.parameters()]
    with pytest.raises(NonFiniteBatch, match=wrong):
        learner.descend({"loss": scale * _mean_square(network, _batch())})
    assert all(torch.equal(*pair) for pair in zip(network.parameters(), before, strict=True))


def test_a_batch_is_shared_evenly_or_not_at_all(monkeypatch):
    monkeypatch.setattr("soundgate.training.distribution.n_processes", lambda: 2)
    assert own_share(4) == slice(0, 2)
    with pytest.raises(TrainingError, match="2 processes can share evenly; found 5"):
        own_share(5)
