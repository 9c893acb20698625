"""Every stage that trains, killed by SIGKILL: what it publishes at last is what nobody interrupted would have."""

import importlib
import os
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from ruamel.yaml import YAML

from tests.killing import Killer, forkserver
from tests.pipeline_file import ROOT
from tests.tracks.transfer.planted_latents import BANK, CODEC, write_planted_labs
from tests.tracks.transfer.test_content import SETTINGS as CONTENT
from tests.tracks.transfer.test_judges import SETTINGS as JUDGE
from tests.tracks.transfer.test_mel_training import SETTINGS as MEL

# A checkpoint after every step.
LOOP = {"epochs": 1, "batch_size": 4, "steps_per_epoch": 6, "checkpoint_s": 1e-9}
N_KILLS = 4


class Training(NamedTuple):
    """A stage ``transfer-<name>`` that trains.

    Args:
        settings: its section, small.
        inputs: its input options, which are folders of the labs.
        outputs: its output options.
        checkpoints: names of the checkpoints it writes, in order.
    """

    settings: dict
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    checkpoints: tuple[str, ...] = ("checkpoint",)


TRAININGS = {
    "content": Training(
        CONTENT.model_dump(mode="json")
        | {"encoder": {"channels": [8, 8, 8], "shared": 8}, "loop": LOOP, "n_bootstrap": 10},
        ("cache",), ("out", "metrics", "history"),
    ),
    "judge": Training(
        JUDGE.model_dump(mode="json") | {"channels": 8, "loop": LOOP, "n_bootstrap": 10},
        ("cache",), ("out", "metrics", "history"),
    ),
    "mel": Training(
        MEL | {stage: MEL[stage] | {"loop": LOOP} for stage in ("stage1", "stage2")},
        ("cache", "content", "style"), ("out", "history"), ("stage1_latest", "stage2_latest"),
    ),
    "bank": Training(BANK | {"loop": LOOP}, ("cache", "latents"), ("out", "metrics", "history")),
    "codec": Training(
        CODEC | {stage: CODEC[stage] | {"loop": LOOP} for stage in ("stage1", "stage2", "stage3")},
        ("cache", "latents", "content", "style", "bank"), ("out", "history"),
        ("stage1_latest", "stage2_latest", "stage3_latest"),
    ),
}  # fmt: skip
# What the stages read beside their own section.
CACHE = {
    "mel": {}, "chunks": {"duration_s": 3, "per_track": 1, "sampling": "uniform", "min_start_s": 0},
    "split": {"judge": 0.2, "test": 0.2}, "n_non_music": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def labs(tmp_path_factory):
    return write_planted_labs(tmp_path_factory.mktemp("labs"), 5)


def repository(folder, labs, name):
    """Make a folder in which the stage's command runs."""
    folder.mkdir()
    for part in ("src", "stages"):
        (folder / part).symlink_to(ROOT / part)
    (folder / "labs").symlink_to(labs)
    with (folder / "params.yaml").open("w") as file:
        YAML().dump({"seed": 0, "transfer": {"cache": CACHE, name: TRAININGS[name].settings}}, file)
    return folder


def run_stage(folder, name):
    """Run the stage's command: in a process of its own, as it changes the folder and the settings of PyTorch."""
    os.chdir(folder)
    os.environ |= {"SOUNDGATE_DEVICE": "cpu", "SOUNDGATE_WORKERS": "1", "SOUNDGATE_LOG": "WARNING"}
    os.environ.pop("SOUNDGATE_SCRATCH", None)
    options = {option: f"labs/{option}" for option in TRAININGS[name].inputs}
    options |= {option: f"made/{option}" for option in TRAININGS[name].outputs}
    command = importlib.import_module(f"stages.transfer.{name}").main
    command.main([f"--{option}={value}" for option, value in options.items()], standalone_mode=False)


def made(folder, name):
    """Return the bytes of every file that the stage published."""
    outputs = [folder / "made" / output for output in TRAININGS[name].outputs]
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


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAININGS)
def test_killed_at_random_moments_a_training_ends_with_the_same_bytes(labs, tmp_path, name):
    whole = repository(tmp_path / "whole", labs, name)
    uninterrupted = forkserver().Process(target=run_stage, args=(whole, name))
    uninterrupted.start()
    uninterrupted.join()
    assert uninterrupted.exitcode == 0 and steps_done(whole) == dict.fromkeys(
        TRAININGS[name].checkpoints, LOOP["steps_per_epoch"]
    )
    expected = made(whole, name)
    assert {Path(path).parts[1] for path in expected} == set(TRAININGS[name].outputs)

    folder, seen, finished, inside = repository(tmp_path / "0", labs, name), [{}], 0, set()
    kills = 0
    killer = Killer(lambda: written(folder), most=5)
    while kills < N_KILLS or not finished or inside < set(TRAININGS[name].checkpoints):
        if killer.attempt(run_stage, folder, name):
            assert made(folder, name) == expected
            finished += 1
            folder = repository(tmp_path / str(finished), labs, name)
            seen.append({})
        else:
            now = steps_done(folder)
            assert all(now[training] >= step for training, step in seen[-1].items()), "a training began anew"
            inside |= {training for training, step in now.items() if 0 < step < LOOP["steps_per_epoch"]}
            seen.append(now)
            kills += 1
    print(f"{name}: {finished} finished; steps done at each kill: {seen}")
