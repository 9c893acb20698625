"""The same training in one process and in two."""

import pytest
import torch

from soundgate.runtime.errors import TrainingError
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.gan.task import STAGE
from soundgate.training.finite import NonFiniteBatch
from soundgate.training.loop import fit
from tests.tracks.voice.planted_gan import new_task, settings, take_steps, write_voices
from tests.training.two_processes import in_two_processes


def _train(rank, folder):
    task = new_task(VoiceCache.open(folder / "cache"), r1_gamma=1.0)
    losses = take_steps(task, 3)
    torch.save((losses, task.converter.state_dict(), task.memory.state_dict()), folder / f"{rank}.pt")


def test_two_processes_learn_what_one_does(tmp_path):
    cache = write_voices(tmp_path / "cache")
    in_two_processes(_train, tmp_path)
    task = new_task(cache, r1_gamma=1.0)
    expected = take_steps(task, 3)
    for rank in range(2):
        losses, weights, memory = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for here, there in zip(losses, expected, strict=True):
            assert here == pytest.approx(there, rel=2e-3, abs=1e-5)
        for name, value in task.memory.state_dict().items():
            torch.testing.assert_close(memory[name], value)
        for name, value in task.converter.state_dict().items():
            torch.testing.assert_close(weights[name], value, rtol=0.05, atol=1e-3)


def _refused(rank, folder):
    task = new_task(VoiceCache.open(folder / "cache"))
    draw, before = task.batches.draw, {name: value.clone() for name, value in task.converter.state_dict().items()}

    def spoilt(items):
        batch = draw(items)
        # In the share of one process alone.
        batch.rebuilding.noise[3, 50] = torch.inf
        return batch

    task.batches.draw = spoilt
    with pytest.raises(NonFiniteBatch):
        take_steps(task)
    assert all(torch.equal(value, before[name]) for name, value in task.converter.state_dict().items())
    with pytest.raises(TrainingError, match="a multiple of 2"):
        new_task(VoiceCache.open(folder / "cache"), loop__batch_size=3, utterances_per_speaker=1)


def test_a_batch_that_one_process_cannot_use_is_refused_by_both(tmp_path):
    write_voices(tmp_path / "cache")
    in_two_processes(_refused, tmp_path)


def _fitted(rank, folder):
    task = new_task(VoiceCache.open(folder / "cache"))
    checkpoint = folder / f"work{rank}" / "checkpoint.pt"
    checkpoint.parent.mkdir()
    options = settings(loop__steps_per_epoch=2)
    fit(task, options.task_loop, len(task.batches.rows), seed=0, name=STAGE, checkpoint=checkpoint)


def test_the_main_process_alone_writes(tmp_path):
    write_voices(tmp_path / "cache")
    in_two_processes(_fitted, tmp_path)
    assert [path.name for path in (tmp_path / "work0").iterdir()] == ["checkpoint.pt"]
    assert not list((tmp_path / "work1").iterdir())
