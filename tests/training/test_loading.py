"""Loader processes: the numbers of a training without them, its errors, and an end with it."""

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from soundgate.runtime.errors import AudioError, TrainingError
from soundgate.tracks.editor.vocoder.waves import Waves
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.training.loop import LoopSettings, fit
from soundgate.training.task import DrawnTask
from tests.training.every_training import trainings
from tests.waiting import wait_until

CPU = torch.device("cpu")
SETTINGS = LoopSettings(epochs=2, batch_size=4, steps_per_epoch=3, checkpoint_s=1e-9)


class Line(DrawnTask):
    """Fits y = 2 x with noise, some of it drawn before and some while learning."""

    def __init__(self, failure=None):
        torch.manual_seed(0)
        self.model = torch.nn.Linear(1, 1)
        self.modules = {"model": self.model}
        self.optimisers = {"adam": torch.optim.Adam(self.model.parameters(), 0.05)}
        self.failure, self.stop_at, self.drawn_by, self.threads = failure, None, set(), set()

    def draw(self, rows, step):
        if self.failure and step == 4:
            self.failure()
        x = torch.from_numpy(rows).float()[:, None] / 10
        return {"x": x, "noise": torch.randn_like(x), "pid": os.getpid(), "threads": torch.get_num_threads()}

    def learn(self, batch, step):
        if step == self.stop_at:
            raise KeyboardInterrupt
        x, noise = batch["x"], batch["noise"] + torch.randn_like(batch["x"])
        loss = (self.model(x) - 2 * x + 0.1 * noise).square().mean()
        self.optimisers["adam"].zero_grad()
        loss.backward()
        self.optimisers["adam"].step()
        self.drawn_by.add(batch["pid"])
        self.threads.add(batch["threads"])
        return {"loss": float(loss.detach())}

    def evaluate(self):
        return {}


def run(task, path, workers, **changes):
    settings = SETTINGS.model_copy(update={"workers": workers} | changes)
    return fit(task, settings, 10, seed=3, name="line", checkpoint=path)


def weights(task):
    return torch.cat([parameter.detach().flatten() for parameter in task.model.parameters()])


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_workers_draw_what_the_step_draws(tmp_path):
    tasks, before = [Line() for _ in range(3)], torch.get_num_threads()
    for workers, task in enumerate(tasks):
        torch.set_num_threads(2)
        run(task, tmp_path / f"{workers}.pt", workers)
        assert torch.get_num_threads() == 2
        torch.set_num_threads(before)
        assert (len(task.drawn_by), task.threads) == (max(1, workers), {1})
        assert (task.drawn_by == {os.getpid()}) == (workers == 0)
        assert not any(map(alive, task.drawn_by - {os.getpid()}))
        assert torch.equal(weights(task), weights(tasks[0]))


@pytest.mark.parametrize("stop_at", [1, 3, 4])
def test_a_killed_run_goes_on_with_other_workers(tmp_path, stop_at):
    whole, killed, resumed = Line(), Line(), Line()
    run(whole, tmp_path / "whole.pt", 0)
    killed.stop_at = stop_at
    with pytest.raises(KeyboardInterrupt):
        run(killed, tmp_path / "killed.pt", 1)
    run(resumed, tmp_path / "killed.pt", 2)
    assert torch.equal(weights(resumed), weights(whole))


def _unreadable():
    raise AudioError("speech.wav", expected="audio", found="noise", remedy="Remove it.")


def _killed():
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_error_of_a_worker_is_the_one_of_the_step(tmp_path):
    for workers in (0, 2):
        with pytest.raises(AudioError) as error:
            run(Line(_unreadable), tmp_path / f"{workers}.pt", workers)
        assert str(error.value) == "speech.wav: expected audio; found noise. Remove it."
    assert "_unreadable" in str(error.value.__cause__)


def _stubborn():
    class Stubborn(Exception):
        pass

    raise Stubborn("no more")


def test_an_error_that_cannot_be_pickled_is_told(tmp_path):
    with pytest.raises(RuntimeError, match="^Stubborn: no more"):
        run(Line(_stubborn), tmp_path / "run.pt", 2)


def test_a_worker_that_is_killed_is_told_in_one_line(tmp_path):
    with pytest.raises(TrainingError, match=r"^line: expected loader processes .*loop\.workers"):
        run(Line(_killed), tmp_path / "run.pt", 2)


def test_a_task_that_draws_as_it_learns_takes_no_workers(tmp_path):
    class Undrawn:
        modules, optimisers = {}, {}

    with pytest.raises(TrainingError, match=r"^line: expected loop\.workers of 0, .*; found 2"):
        run(Undrawn(), tmp_path / "run.pt", 2)


class Endless(Line):
    """Tells who draws."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def learn(self, batch, step):
        (self.folder / str(batch["pid"])).touch()
        return super().learn(batch, step)


def _train_for_long(folder):
    run(Endless(folder / "pids"), folder / "run.pt", 2, epochs=10**6)


def test_workers_die_with_a_killed_training(tmp_path):
    (tmp_path / "pids").mkdir()
    training = multiprocessing.get_context("fork").Process(target=_train_for_long, args=(tmp_path,))
    training.start()
    wait_until(lambda: len(list((tmp_path / "pids").iterdir())) == 2 or training.exitcode, "both workers")
    training.kill()
    training.join()
    workers = [int(path.name) for path in (tmp_path / "pids").iterdir()]
    wait_until(lambda: not any(map(alive, workers)), "the workers' end")


# Whose batches depend on nothing that is learnt.
DRAWN = {
    "transfer, content", "transfer, judge", "transfer, mel, stage 1", "transfer, mel, stage 2", "transfer, bank",
    "transfer, codec, stage 1", "transfer, codec, stage 2", "transfer, codec, stage 3",
    "editor, imitation", "editor, reconstruction", "editor, vocoder",
    "voice, speaker", "voice, judge, encoder", "voice, judge, units", "voice, GAN",
}  # fmt: skip


def _trained(name, path, workers):
    torch.manual_seed(0)
    module = trainings()
    recipe = module.TRAININGS[name]
    built = recipe.build(module.Setup(module.composed("tiny"), CPU).changed({recipe.batch: max(4, recipe.fewest)}))
    settings = LoopSettings(epochs=1, batch_size=built.batch, steps_per_epoch=3, workers=workers)
    fit(built.task, settings, built.n_items, seed=0, name=name, checkpoint=path)
    return path.read_bytes()


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_every_training_learns_the_same_with_workers(tmp_path, name):
    alone, together = (_trained(name, tmp_path / f"{workers}.pt", workers) for workers in (0, 2))
    assert alone == together


@pytest.mark.parametrize("name", ["structure, dynamics, vMF", "editor, policy"])
def test_the_other_trainings_take_no_workers(tmp_path, name):
    with pytest.raises(TrainingError, match=r"loop\.workers of 0"):
        _trained(name, tmp_path / "run.pt", 2)


# Each with what reads an item.
SHARED = {
    "editor, vocoder": (Waves, "_crop"),
    "voice, speaker": (VoiceCache, "_wave"),
    "voice, judge, encoder": (VoiceCache, "_wave"),
    "voice, judge, units": (VoiceCache, "_wave"),
}


@pytest.mark.parametrize("name", SHARED)
def test_a_process_reads_its_own_share_and_draws_what_one_alone_would(monkeypatch, name):
    module, read, (holder, reader) = trainings(), [], SHARED[name]
    recipe, original = module.TRAININGS[name], getattr(holder, reader)
    task = recipe.build(module.Setup(module.composed("tiny"), CPU).changed({recipe.batch: 4})).task
    monkeypatch.setattr(holder, reader, lambda own, row, *of: read.append(row) or original(own, row, *of))

    def drawn():
        torch.manual_seed(0)
        batch = task.draw(np.arange(4), 0)
        return tree_leaves(batch), torch.get_rng_state()

    (whole, state), in_all = drawn(), len(read)
    monkeypatch.setattr("soundgate.training.distribution.n_processes", lambda: 2)
    shares = []
    for rank in range(2):
        monkeypatch.setattr("soundgate.training.distribution.rank", lambda rank=rank: rank)
        own, own_state = drawn()
        assert len(read) == in_all * (3 + rank) // 2 and torch.equal(own_state, state)
        shares.append(own)
    for one, *parts in zip(whole, *shares, strict=True):
        torch.testing.assert_close(torch.cat(parts), one)
