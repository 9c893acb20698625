"""Every training of the project in two processes against the same in one."""

import numpy as np
import pytest
import torch

from tests.training.every_training import trainings
from tests.training.two_processes import in_two_processes

N_STEPS = 2
CPU = torch.device("cpu")


def train(name):
    """Return the losses of a few steps on four items, and the first's gradient: what Adam makes of noise is noise."""
    module = trainings()
    recipe, setup = module.TRAININGS[name], module.Setup(module.composed("tiny"), CPU)
    training = recipe.build(setup.changed({recipe.batch: max(4, recipe.fewest)}))
    losses = [training.step(0)]
    groups = [group for one in training.task.optimisers.values() for group in one.param_groups]
    weights = [weight for group in groups for weight in group["params"]]
    gradient = torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None]).clone()
    losses += [training.step(number) for number in range(1, N_STEPS)]
    return losses, gradient


def _train(rank, folder, names):
    torch.save({name: train(name) for name in names}, folder / f"{rank}.pt")


@pytest.mark.slow
@pytest.mark.parametrize("track", ["structure", "transfer", "editor", "voice"])
def test_two_processes_train_what_one_does(tmp_path, track):
    names = [name for name in trainings().TRAININGS if name.startswith(track)]
    assert names
    in_two_processes(_train, tmp_path, names)
    for name in names:
        losses, gradient = train(name)
        assert gradient.norm() > 0
        for rank in range(2):
            here, there = torch.load(tmp_path / f"{rank}.pt", weights_only=False)[name]
            for own, expected in zip(here, losses, strict=True):
                assert own.keys() == expected.keys()
                for key, value in own.items():
                    np.testing.assert_allclose(value, expected[key], rtol=2e-3, atol=1e-4, err_msg=f"{name}, {key}")
            apart = float((there - gradient).norm() / gradient.norm())
            assert apart < 2e-3, (name, apart)
