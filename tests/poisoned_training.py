"""A stage that trains, given one batch that is not finite: it is skipped, counted, and reaches no weight."""

import os
from unittest.mock import patch

import torch
from torch import nn

from soundgate.training import loop
from tests.killed_training import LOOP, repository, run_stage
from tests.killing import finish

POISONED_STEP = 2


def check_poisoned_training(training, inputs, folder):
    """Run a stage whose networks answer with NaN at one step of every training.

    Args:
        training: a `tests.killed_training.Training`.
        inputs: folder with the folders that its input options name.
        folder: empty, to work in.
    """
    here = repository(folder / "here", inputs, training)
    finish(run_poisoned, here, training)
    checkpoints = {path.stem: path for path in (here / "scratch").rglob("[!.]*.pt")}
    assert set(checkpoints) == set(training.checkpoints)
    for path in checkpoints.values():
        state = torch.load(path, weights_only=True)
        assert state["progress"]["step"] == LOOP["steps_per_epoch"]
        assert [row["skipped"] for row in state["progress"]["history"]] == [1.0]
        tensors = list(tensors_of([state["modules"], state["optimisers"]]))
        assert tensors and all(tensor.isfinite().all() for tensor in tensors if tensor.numel() > 1), path
    refusals = list((here / "refusals").iterdir())
    assert len(refusals) == len(training.checkpoints)


def run_poisoned(folder, training):
    """Run the stage's command in a process of its own, with a step of the loop that is poisoned once."""
    step = loop._step
    (folder / "refusals").mkdir()

    def poisoned(task, rows, progress, *others):
        layers = [layer for module in task.modules.values() for layer in module.modules() if is_layer(layer)]
        hooks = []
        if progress.step == POISONED_STEP:
            hooks = [layer.register_forward_hook(lambda *call: call[2] * torch.nan) for layer in layers]
        try:
            losses = step(task, rows, progress, *others)
        finally:
            for hook in hooks:
                hook.remove()
        if hooks and losses == {}:
            (folder / "refusals" / str(len(os.listdir(folder / "refusals")))).touch()
        return losses

    with patch.object(loop, "_step", poisoned):
        run_stage(folder, training)


def is_layer(module):
    return isinstance(module, (nn.Linear, nn.modules.conv._ConvNd))


def tensors_of(value):
    """Yield all floating-point tensors inside dictionaries and lists."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, dict):
        yield from tensors_of(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for own in value:
            yield from tensors_of(own)
