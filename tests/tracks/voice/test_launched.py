"""The stage's command on two processes, as `torchrun` starts them, against the command alone."""

import os
import subprocess
import sys

import pandas as pd
import pytest

from soundgate.tracks.voice.speaker.model import save_speaker
from tests.killed_training import LOOP, Training, made, repository, run_stage
from tests.killing import finish
from tests.tracks.voice.planted_gan import settings, speaker_encoder, write_voices

TRAIN = settings(segment_s=0.5, gan_start=0.3).model_dump(mode="json")
TRAINING = Training(
    "stages.voice.train",
    {"seed": 0, "training_seed": 0, "voice": {"train": TRAIN | {"loop": LOOP}}},
    ("cache", "speaker"),
    ("out", "metrics", "history"),
)
# Where they meet is a port that is free: others may train on this machine.
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def _launch(folder):
    options = [f"--{name}=inputs/{name}" for name in TRAINING.inputs]
    options += [f"--{name}=made/{name}" for name in TRAINING.outputs]
    alone = {"SOUNDGATE_DEVICE": "cpu", "SOUNDGATE_WORKERS": "1", "OMP_NUM_THREADS": "1"}
    environment = {name: value for name, value in os.environ.items() if name != "SOUNDGATE_SCRATCH"} | alone
    command = [sys.executable, *LAUNCH, "-m", TRAINING.module, *options]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_two_launched_processes_train_what_one_does(tmp_path):
    inputs = tmp_path / "inputs"
    write_voices(inputs / "cache")
    save_speaker(inputs / "speaker", speaker_encoder())
    one, two = (repository(tmp_path / name, inputs, TRAINING) for name in ("one", "two"))
    finish(run_stage, one, TRAINING)
    _launch(two)
    assert made(one, TRAINING).keys() == made(two, TRAINING).keys()
    expected, history = (pd.read_csv(folder / "made/history") for folder in (one, two))
    assert len(history) == len(expected) == 1
    assert expected["discriminator"].notna().all()
    pd.testing.assert_frame_equal(history, expected, rtol=0.02, atol=2e-3)
