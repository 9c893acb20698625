"""The same training in one process and in two."""

import numpy as np
import pytest
import torch

from soundgate.runtime.errors import TrainingError
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.gan.task import STAGE
from soundgate.training.finite import NonFiniteBatch
from soundgate.training.loop import fit
from tests.tracks.voice.planted_gan import new_task, settings, take_steps, write_voices
from tests.training.two_processes import in_two_processes


def _train(rank, folder, changes):
    task = new_task(VoiceCache.open(folder / "cache"), **changes)
    losses = take_steps(task, 3)
    torch.save((losses, task.converter.state_dict(), task.memory.state_dict()), folder / f"{rank}.pt")


# What Adam makes of a gradient near 0 is noise, of which an encoder that learns has more.
@pytest.mark.parametrize(
    ("changes", "atol"), [({"r1_gamma": 1.0}, 1e-3), ({"speaker_trainable": True, "gan_start": 1.0}, 5e-3)]
)
def test_two_processes_learn_what_one_does(tmp_path, changes, atol):
    cache = write_voices(tmp_path / "cache")
    in_two_processes(_train, tmp_path, changes)
    task = new_task(cache, **changes)
    expected = take_steps(task, 3)
    for rank in range(2):
        losses, weights, memory = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for here, there in zip(losses, expected, strict=True):
            assert here == pytest.approx(there, rel=2e-3, abs=1e-5)
        for name, value in task.memory.state_dict().items():
            torch.testing.assert_close(memory[name], value)
        for name, value in task.converter.state_dict().items():
            torch.testing.assert_close(weights[name], value, rtol=0.05, atol=atol)


def _refused(rank, folder):
    task = new_task(VoiceCache.open(folder / "cache"))
    draw, before = task.batches.draw, {name: value.clone() for name, value in task.converter.state_dict().items()}

    def spoilt(items):
        batch = draw(items)
        # In the share of one process alone.
        if rank:
            batch.rebuilding.noise[1, 50] = torch.inf
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


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_reads_its_own_share_alone(tmp_path, monkeypatch, rank):
    cache = write_voices(tmp_path / "cache")
    read, crops = [], VoiceCache.crops
    monkeypatch.setattr(VoiceCache, "crops", lambda own, rows, *of: read.append(len(rows)) or crops(own, rows, *of))
    tasks = {trainable: new_task(cache, loop__batch_size=8, speaker_trainable=trainable) for trainable in (False, True)}
    whole = _drawn(tasks[False])
    monkeypatch.setattr("soundgate.training.distribution.n_processes", lambda: 2)
    monkeypatch.setattr("soundgate.training.distribution.rank", lambda: rank)
    read.clear()
    own, heard = _drawn(tasks[False]), _drawn(tasks[True])
    share = slice(4 * rank, 4 * rank + 4)
    assert read == [4, 4 + len(set(heard.target[heard.converted].tolist()) - set(range(8)[share]))] and read[1] > 4
    assert torch.equal(own.utterances.wav, whole.utterances.wav[share])
    for name in ("noise", "warp", "phases"):
        assert torch.equal(getattr(own.converting, name), getattr(whole.converting, name)[share])
    assert torch.equal(heard.utterances.wav[heard.position[heard.target]], whole.utterances.wav[whole.target[share]])


def _drawn(task):
    torch.manual_seed(0)
    return task.draw(np.array([0, 3, 6, 9]), 0)
