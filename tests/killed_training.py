"""A stage that trains, killed by SIGKILL: what it publishes at last is what nobody interrupted would have."""

import importlib
import os
from pathlib import Path
from typing import NamedTuple

import torch
from ruamel.yaml import YAML

from tests.killing import Killer, forkserver
from tests.pipeline_file import ROOT

# A checkpoint after every step.
LOOP = {"epochs": 1, "batch_size": 4, "steps_per_epoch": 6, "checkpoint_s": 1e-9}
N_KILLS = 4


class Training(NamedTuple):
    """A stage that trains.

    Args:
        track: its track.
        name: the stage is ``<track>-<name>``.
        sections: of its track's parameters, by name; its own with `LOOP`.
        inputs: its input options, which are folders beside one another.
        outputs: its output options.
        checkpoints: names of the checkpoints it writes, in order.
    """

    track: str
    name: str
    sections: dict
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    checkpoints: tuple[str, ...] = ("checkpoint",)


def repository(folder, inputs, training):
    """Make a folder in which the stage's command runs."""
    folder.mkdir()
    for part in ("src", "stages"):
        (folder / part).symlink_to(ROOT / part)
    (folder / "inputs").symlink_to(inputs)
    with (folder / "params.yaml").open("w") as file:
        YAML().dump({"seed": 0, training.track: training.sections}, file)
    return folder


def run_stage(folder, training):
    """Run the stage's command: in a process of its own, as it changes the folder and the settings of PyTorch."""
    os.chdir(folder)
    os.environ |= {"SOUNDGATE_DEVICE": "cpu", "SOUNDGATE_WORKERS": "1", "SOUNDGATE_LOG": "WARNING"}
    os.environ.pop("SOUNDGATE_SCRATCH", None)
    options = {option: f"inputs/{option}" for option in training.inputs}
    options |= {option: f"made/{option}" for option in training.outputs}
    command = importlib.import_module(f"stages.{training.track}.{training.name}").main
    command.main([f"--{option}={value}" for option, value in options.items()], standalone_mode=False)


def made(folder, training):
    """Return the bytes of every file that the stage published."""
    outputs = [folder / "made" / output for output in training.outputs]
    files = [path for output in outputs for path in (output, *output.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def checkpoints(folder):
    """Return the checkpoints that are there by name."""
    return {path.stem: path for path in (folder / "scratch").rglob("[!.]*.pt")}


def written(folder):
    """Return something that changes with every checkpoint."""
    return [(name, path.stat().st_ino, path.stat().st_mtime_ns) for name, path in checkpoints(folder).items()]


def steps_done(folder):
    """Return how many steps of each training are in its checkpoint."""
    return {name: torch.load(path, weights_only=True)["progress"]["step"] for name, path in checkpoints(folder).items()}


def assert_kills_change_nothing(training: Training, inputs: Path, tmp_path: Path) -> None:
    """Run the stage undisturbed, then kill it at random moments until it was killed inside each of its trainings."""
    whole = repository(tmp_path / "whole", inputs, training)
    uninterrupted = forkserver().Process(target=run_stage, args=(whole, training))
    uninterrupted.start()
    uninterrupted.join()
    done = dict.fromkeys(training.checkpoints, LOOP["steps_per_epoch"])
    assert uninterrupted.exitcode == 0 and steps_done(whole) == done
    expected = made(whole, training)
    assert {Path(path).parts[1] for path in expected} == set(training.outputs)

    folder, seen, finished, inside = repository(tmp_path / "0", inputs, training), [{}], 0, set()
    kills = 0
    killer = Killer(lambda: written(folder), most=5)
    while kills < N_KILLS or not finished or inside < set(training.checkpoints):
        if killer.attempt(run_stage, folder, training):
            assert made(folder, training) == expected
            finished += 1
            folder = repository(tmp_path / str(finished), inputs, training)
            seen.append({})
        else:
            now = steps_done(folder)
            assert all(now[name] >= step for name, step in seen[-1].items()), "a training began anew"
            inside |= {name for name, step in now.items() if 0 < step < LOOP["steps_per_epoch"]}
            seen.append(now)
            kills += 1
    print(f"{training.name}: {finished} finished; steps done at each kill: {seen}")
