"""A stage whose training is made longer goes on with what it has, and one begins from the other's checkpoint."""

import json

import pytest
import torch

from soundgate.tracks.voice.speaker.model import save_speaker
from tests.killed_training import LOOP, Training, made, repository, run_stage
from tests.killing import finish
from tests.tracks.voice.planted_gan import settings, speaker_encoder, write_voices

STEPS = LOOP["steps_per_epoch"]


def trained(sample_interval=0, **loop):
    own = settings(segment_s=0.5, sample_interval=sample_interval).model_dump(mode="json") | {"loop": LOOP | loop}
    params = {"seed": 0, "training_seed": 0, "voice": {"train": own}}
    return Training("stages.voice.train", params, ("cache", "speaker"), ("out", "metrics", "history"))


def run(folder, training):
    """Run the stage with other parameters where it ran before, or for the first time."""
    (folder / "params.yaml").write_text(json.dumps(json.loads((folder / "params.yaml").read_text()) | training.params))
    finish(run_stage, folder, training)
    return made(folder, training)


def scratch(folder):
    return {path.parent.name for path in (folder / "scratch/voice-train").glob("*/checkpoint.pt")}


@pytest.mark.slow
def test_longer_is_gone_on_with_and_other_weights_are_begun_from(tmp_path):
    inputs = tmp_path / "inputs"
    write_voices(inputs / "cache")
    save_speaker(inputs / "speaker", speaker_encoder())
    one, two = trained(horizon=2), trained(horizon=2, epochs=2)
    whole = repository(tmp_path / "whole", inputs, two)
    expected = run(whole, two)
    folder = repository(tmp_path / "longer", inputs, one)
    first = run(folder, one)
    work = scratch(folder)
    assert run(folder, two) == expected != first
    assert scratch(folder) == work and len(work) == 1

    result = folder / "made/out/checkpoint.pt"
    kept = torch.load(result, weights_only=True)
    assert kept["progress"]["step"] == 2 * STEPS and kept["optimisers"].keys() == {"generator", "discriminators"}
    begun = trained(epochs=0, init_from=str(result.rename(tmp_path / "begun.pt")))
    other = repository(tmp_path / "begun", inputs, begun)
    assert run(other, begun)["made/out/model.safetensors"] == expected["made/out/model.safetensors"]


@pytest.mark.slow
def test_samples_along_the_way_change_no_byte_and_train_nothing_anew(tmp_path):
    inputs = tmp_path / "inputs"
    write_voices(inputs / "cache")
    save_speaker(inputs / "speaker", speaker_encoder())
    silent, sampled = trained(), trained(sample_interval=1)
    folder, other = repository(tmp_path / "one", inputs, silent), repository(tmp_path / "other", inputs, sampled)
    expected = run(folder, silent)
    (checkpoint,) = (folder / "scratch/voice-train").glob("*/checkpoint.pt")
    written = checkpoint.stat().st_mtime_ns
    assert run(folder, sampled) == expected
    assert scratch(folder) == {checkpoint.parent.name} and checkpoint.stat().st_mtime_ns == written
    assert run(other, sampled) == expected and scratch(other) == scratch(folder)
    assert len(list((other / "runs/samples").rglob("epoch_0001/*.flac"))) == 3
    assert not (folder / "runs/samples").exists()
