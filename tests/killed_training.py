"""A stage that trains, killed at random moments: what it publishes at last is what nobody interrupted would have."""

import importlib
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import torch

from soundgate.runtime.files import write_json
from tests.killing import Killer, finish, present
from tests.pipeline_file import ROOT
from tests.training.duel import health

# A checkpoint after every step.
LOOP = {"epochs": 1, "batch_size": 4, "steps_per_epoch": 6, "checkpoint_s": 1e-9}
N_KILLS = 4


class Training(NamedTuple):
    """A stage ``<track>-<name>`` that trains.

    Args:
        module: of the stage, ``stages.<track>.<name>``.
        params: all that it reads, small, with ``LOOP`` for its loop; the health monitor's come with them.
        inputs: its input options, which are folders of the same name.
        outputs: its output options.
        checkpoints: names of the checkpoints it writes, in order.
        arguments: more of its command line.
    """

    module: str
    params: dict
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    checkpoints: tuple[str, ...] = ("checkpoint",)
    arguments: tuple[str, ...] = ()


def check_killed_training(training, inputs, folder):
    """Run a stage once whole and several times killed, and compare what it publishes.

    Args:
        training: see `Training`.
        inputs: folder with the folders that its input options name.
        folder: empty, to work in.
    """
    whole = repository(folder / "whole", inputs, training)
    finish(run_stage, whole, training)
    assert _steps_done(whole) == dict.fromkeys(training.checkpoints, LOOP["steps_per_epoch"])
    expected = made(whole, training)
    assert {Path(path).parts[1] for path in expected} == set(training.outputs)

    here, seen, finished, inside = repository(folder / "0", inputs, training), [{}], 0, set()
    kills = 0
    killer = Killer(lambda: _checkpoints(here), most=5)
    while kills < N_KILLS or not finished or inside < set(training.checkpoints):
        if killer.attempt(run_stage, here, training):
            now = made(here, training)
            assert now == expected, [name for name in {*now, *expected} if now.get(name) != expected.get(name)]
            finished += 1
            here = repository(folder / str(finished), inputs, training)
            seen.append({})
        else:
            now = _steps_done(here)
            assert all(now[name] >= step for name, step in seen[-1].items()), "a training began anew"
            inside |= {name for name, step in now.items() if 0 < step < LOOP["steps_per_epoch"]}
            seen.append(now)
            kills += 1
    print(f"{training.module}: {finished} finished; steps done at each kill: {seen}")


def repository(folder, inputs, training):
    """Make a folder in which the stage's command runs."""
    folder.mkdir()
    for part in ("src", "stages"):
        (folder / part).symlink_to(ROOT / part)
    (folder / "inputs").symlink_to(inputs)
    # JSON is YAML, without aliases for what stands in it twice.
    write_json(folder / "params.yaml", training.params | {"health": health(interval=2).model_dump()})
    return folder


def run_stage(folder, training):
    """Run the stage's command: in a process of its own, as it changes the folder and the settings of PyTorch.

    As DVC does, what an earlier run left in the outputs is deleted first.
    """
    os.chdir(folder)
    shutil.rmtree("made", ignore_errors=True)
    os.environ |= {"SOUNDGATE_DEVICE": "cpu", "SOUNDGATE_WORKERS": "1", "SOUNDGATE_LOG": "WARNING"}
    os.environ.pop("SOUNDGATE_SCRATCH", None)
    options = {option: f"inputs/{option}" for option in training.inputs}
    options |= {option: f"made/{option}" for option in training.outputs}
    command = importlib.import_module(training.module).main
    command.main(
        [*(f"--{name}={value}" for name, value in options.items()), *training.arguments], standalone_mode=False
    )


def made(folder, training):
    """Return the bytes of every file that the stage published."""
    outputs = [folder / "made" / output for output in training.outputs]
    files = [path for output in outputs for path in (output, *output.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _checkpoints(folder):
    """Return the checkpoints that are there; something of it changes with every one that is written."""
    return present(folder / "scratch", "*.pt")


def _steps_done(folder):
    """Return how many steps of each training are in its checkpoint."""
    return {path.stem: torch.load(path, weights_only=True)["progress"]["step"] for path in _checkpoints(folder)}
