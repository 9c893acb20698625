"""The monitor beside a training: what it measures, that it changes nothing, that it outlives a kill."""

import copy
import math

import pytest
import torch
from torch.nn import functional

from soundgate.runtime.errors import TrainingError
from soundgate.runtime.files import write_json
from soundgate.runtime.scratch import CARD
from soundgate.training.health.records import RECORDS_FILE, read_records
from soundgate.training.health.seen import Seen
from soundgate.training.health.watch import Watch
from soundgate.training.tensorboard import RUNS_FOLDER
from tests.training.duel import EVERY_STEP, LOOP, Duel, health, train
from tests.training.test_loop import Line, run
from tests.training.test_tensorboard import logged


def records(folder):
    return read_records(folder / RECORDS_FILE)


def timeless(folder):
    """Return all of the records but what depends on the machine."""
    return [
        (record.step, record.findings, {k: v for k, v in record.metrics.items() if k.split("/")[0] not in MACHINE})
        for record in records(folder)
    ]


MACHINE = ("speed", "memory")


def test_watched_or_not_a_training_ends_with_the_same_bytes(tmp_path):
    histories, files = [], []
    for number, watched in enumerate((None, health(), health(interval=1), health(enabled=False))):
        path, task = tmp_path / f"{number}.pt", Duel(bad=(17,))
        histories.append(train(task, path, watched, folder=tmp_path / str(number)))
        files.append(path.read_bytes())
        assert task.probed == (0, 15, 60, 0)[number]
    assert files == files[:1] * 4 and histories == histories[:1] * 4


def test_a_run_without_skipped_batches_writes_what_it_always_did(tmp_path):
    train(Duel(), tmp_path / "run.pt", health())
    state = torch.load(tmp_path / "run.pt", weights_only=True)
    assert set(state["progress"]) == {"step", "history", "partial"}
    assert set(state["progress"]["history"][0]) == {
        "epoch", "step", "reconstruction", "adversarial", "discriminator", "test",
    }  # fmt: skip


@pytest.mark.parametrize("stop_at", [3, 13, 20, 22, 47])
def test_each_check_stands_once_however_often_a_run_was_killed(tmp_path, stop_at):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(Duel(bad=(9, 30)), tmp_path / "whole.pt", health(), folder=whole)
    with pytest.raises(KeyboardInterrupt):
        train(Duel(bad=(9, 30), stop_at=stop_at), tmp_path / "killed.pt", health(), EVERY_STEP, killed)
    # A kill after the records of steps that no checkpoint holds, in the middle of a line.
    with (killed / RECORDS_FILE).open("a") as file:
        file.write('{"step": 4')
    train(Duel(bad=(9, 30)), tmp_path / "killed.pt", health(), folder=killed)
    steps = [record.step for record in records(killed)]
    assert steps == [record.step for record in records(whole)] == sorted({*range(4, 61, 4), 10, 31})
    assert (tmp_path / "killed.pt").read_bytes() == (tmp_path / "whole.pt").read_bytes()
    assert [record.status for record in records(killed)] == [record.status for record in records(whole)]


def test_records_beyond_the_checkpoint_are_written_anew(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(Duel(stop_at=39), tmp_path / "run.pt", health(), LOOP, tmp_path / "run")
    assert records(tmp_path / "run")[-1].step == 36
    train(Duel(), tmp_path / "run.pt", health(), LOOP, tmp_path / "run")
    train(Duel(), tmp_path / "whole.pt", health(), LOOP, tmp_path / "whole")
    # The last checkpoint was at the end of an epoch, which is a check: nothing is lost at all.
    assert timeless(tmp_path / "run") == timeless(tmp_path / "whole")


def test_what_is_measured_is_what_happened(tmp_path):
    """One step by hand: the gradient before clipping, the change of the weights, the mean of the losses."""
    task, by_hand = Duel(every=1, start=0), Duel(every=1, start=0)
    loop = LOOP.model_copy(update={"epochs": 1, "steps_per_epoch": 1})
    seen = {}
    watch_raw = torch.nn.utils.clip_grad_norm_

    def before_clipping(parameters, limit):
        parameters = list(parameters)
        seen[len(parameters)] = math.sqrt(sum(float(own.grad.square().sum()) for own in parameters))
        return watch_raw(parameters, limit)

    start = {name: [own.detach().clone() for own in module.parameters()] for name, module in by_hand.modules.items()}
    torch.nn.utils.clip_grad_norm_ = before_clipping
    try:
        train(by_hand, tmp_path / "by_hand.pt", None, loop)
    finally:
        torch.nn.utils.clip_grad_norm_ = watch_raw
    (row,) = train(task, tmp_path / "run.pt", health(interval=1), loop, tmp_path / "run")
    (record,) = records(tmp_path / "run")
    for name, module in by_hand.modules.items():
        own = list(module.parameters())
        size = math.sqrt(sum(float(one.square().sum()) for one in start[name]))
        change = math.sqrt(sum(float((a.detach() - b).square().sum()) for a, b in zip(own, start[name], strict=True)))
        after = math.sqrt(sum(float(one.detach().square().sum()) for one in own))
        assert record.metrics[f"parameter/{name}"] == pytest.approx(after)
        if name != "average":
            assert record.metrics[f"gradient/{name}"] == pytest.approx(seen[len(own)])
            assert record.metrics[f"update/{name}"] == pytest.approx(change / size, rel=1e-4)
    parts = [record.metrics[f"gradient/discriminator.parts.{number}"] for number in (0, 1)]
    assert math.hypot(*parts) == pytest.approx(record.metrics["gradient/discriminator"])
    assert record.metrics["loss/reconstruction"] == pytest.approx(row["reconstruction"])


def test_networks_that_do_not_step_every_time_are_measured_all_the_same(tmp_path):
    train(Duel(every=5, start=20), tmp_path / "run.pt", health(interval=10), folder=tmp_path / "run")
    found = [record.metrics for record in records(tmp_path / "run")]
    assert [metrics["steps/discriminator"] for metrics in found] == [0, 0, 2, 2, 2, 2]
    assert ["update/discriminator" in metrics for metrics in found] == [False, False, True, True, True, True]
    assert all("gradient/generator" in metrics for metrics in found)
    assert all(record.status == "healthy" for record in records(tmp_path / "run"))


def test_a_short_training_has_its_least_checks(tmp_path):
    train(Duel(), tmp_path / "run.pt", health(interval=100, least_checks=20), folder=tmp_path / "run")
    assert [record.step for record in records(tmp_path / "run")] == list(range(3, 61, 3))


def test_a_task_that_tells_of_its_batch_and_its_losses_is_asked(tmp_path):
    class Telling(Duel):
        def step(self, rows, step):
            self.real = self.data[rows]
            return super().step(rows, step)

        def seen(self):
            return Seen(outputs=self.generator(self.real), targets=self.real + 1)

        def losses(self):
            return {"reconstruction": functional.l1_loss(self.generator(self.real), self.real + 1)}

    files = [tmp_path / "alone.pt", tmp_path / "watched.pt"]
    train(Telling(), files[0])
    train(Telling(), files[1], health(interval=5), folder=tmp_path / "run")
    assert files[0].read_bytes() == files[1].read_bytes()
    found = [record.metrics for record in records(tmp_path / "run")]
    assert all(metrics["effect/reconstruction"] < 0 for metrics in found)
    assert all(0 <= metrics["batch/targets"] <= 1 for metrics in found)


def test_losses_are_means_over_the_steps_between_checks(tmp_path):
    history = train(Duel(), tmp_path / "run.pt", health(interval=20), folder=tmp_path / "run")
    found = [record.metrics for record in records(tmp_path / "run")]
    for row, metrics in zip(history, found, strict=True):
        assert metrics["loss/reconstruction"] == pytest.approx(row["reconstruction"])
    change = history[1]["reconstruction"] - history[0]["reconstruction"]
    assert found[1]["change/reconstruction"] == pytest.approx(change)


def test_a_batch_that_is_not_finite_is_skipped_counted_and_critical_at_once(tmp_path):
    history = train(Duel(bad=(21, 22)), tmp_path / "run.pt", health(), folder=tmp_path / "run")
    assert [row.get("skipped", 0) for row in history] == [0, 2, 0]
    bad = [record for record in records(tmp_path / "run") if record.status != "healthy"]
    assert [record.step for record in bad] == [22, 23] and {record.status for record in bad} == {"critical"}
    assert "batch not finite" in bad[0].findings[0].reason and bad[0].findings[0].remedy


def test_skipped_batches_leave_the_weights_alone(tmp_path):
    class Counts(Duel):
        def step(self, rows, step):
            before = copy.deepcopy([module.state_dict() for module in self.modules.values()])
            try:
                return super().step(rows, step)
            except Exception:
                after = [module.state_dict() for module in self.modules.values()]
                pairs = [(old[key], new[key]) for old, new in zip(before, after, strict=True) for key in old]
                assert all(torch.equal(old, new) for old, new in pairs)
                raise

    train(Counts(bad=(4, 5)), tmp_path / "run.pt", health())


@pytest.mark.parametrize("stop_at", [None, 26, 28])
def test_too_many_in_a_row_end_the_training_with_the_last_checkpoint_intact(tmp_path, stop_at):
    """The count goes on over a kill: batches 25 to 30 are bad, the fifth in a row is one too many."""
    loop, bad = EVERY_STEP.model_copy(update={"patience": 4}), range(25, 31)
    if stop_at:
        with pytest.raises(KeyboardInterrupt):
            train(Duel(bad=bad, stop_at=stop_at), tmp_path / "run.pt", health(), loop, tmp_path / "run")
    with pytest.raises(TrainingError, match=r"step 29.*5 batches in a row"):
        train(Duel(bad=bad), tmp_path / "run.pt", health(), loop, tmp_path / "run")
    state = torch.load(tmp_path / "run.pt", weights_only=True)
    assert state["progress"]["step"] == 29
    assert all(values.isfinite().all() for values in state["modules"]["generator"].values())
    assert [record.step for record in records(tmp_path / "run") if record.status == "critical"] == [26, 27, 28, 29, 30]
    train(Duel(), tmp_path / "run.pt", health(), loop, tmp_path / "run")


def test_as_many_as_patience_allows_do_not_end_it(tmp_path):
    loop = LOOP.model_copy(update={"patience": 4})
    assert train(Duel(bad=range(25, 29)), tmp_path / "run.pt", health(), loop)[1]["skipped"] == 4


def test_a_loss_that_is_not_finite_is_recorded_before_the_training_ends(tmp_path):
    class Diverges(Duel):
        def step(self, rows, step):
            return super().step(rows, step) | ({"reconstruction": math.inf} if step == 5 else {})

    with pytest.raises(TrainingError, match="step 5"):
        train(Diverges(), tmp_path / "run.pt", health(), folder=tmp_path / "run")
    assert (last := records(tmp_path / "run")[-1]).step == 6 and last.status == "critical"


def test_records_and_curves_lie_beside_the_pipeline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    work = tmp_path / "scratch" / "voice-train" / "key"
    write_json(work / CARD, {"out": "data/tiny/voice/converter"})
    train(Duel(), work / "checkpoint.pt", health())
    found = records(tmp_path / "runs" / "diagnostics" / "tiny" / "voice" / "converter" / "duel")
    curves = logged(RUNS_FOLDER / "tiny" / "voice" / "converter" / "duel" / "diagnostics")
    assert [step for step, _ in curves["gradient/generator"]] == [record.step for record in found]
    assert [value for _, value in curves["status"]] == [0.0] * 15


def test_no_failure_of_the_monitor_stops_a_training(tmp_path, caplog):
    class Broken(Duel):
        def probe(self):
            raise RuntimeError("no such thing")

    (tmp_path / "file").write_text("where the folder is to be")
    assert len(train(Broken(), tmp_path / "run.pt", health(), folder=tmp_path / "file")) == 3
    assert "no such thing" in caplog.text and "No diagnostics are written" in caplog.text
    assert caplog.text.count("no such thing") == 1


def test_a_task_of_one_network_needs_nothing_special(tmp_path):
    settings = health(interval=5)
    assert run(Line(), tmp_path / "a.pt") == run(Line(), tmp_path / "b.pt", health=settings, diagnostics=tmp_path / "b")
    assert [record.status for record in records(tmp_path / "b")] == ["healthy"] * 3


def test_nothing_of_the_watch_is_left_on_a_task(tmp_path):
    task = Duel()
    train(task, tmp_path / "run.pt", health())
    hooks = [own._post_accumulate_grad_hooks for module in task.modules.values() for own in module.parameters()]
    assert not any(hooks)
    assert not any(o._optimizer_step_pre_hooks or o._optimizer_step_post_hooks for o in task.optimisers.values())


def test_a_gradient_from_another_networks_pass_is_not_taken_for_its_own():
    """The generator's loss goes through the discriminator and leaves gradients there, before its own pass."""
    torch.manual_seed(0)
    generator, discriminator = torch.nn.Linear(3, 3), torch.nn.Linear(3, 1)
    optimiser = torch.optim.SGD(discriminator.parameters(), 0.1)
    watch = Watch({"discriminator": discriminator}, {"discriminator": optimiser})
    watch.arm()
    (1000 * discriminator(generator(torch.ones(1, 3)))).sum().backward()
    optimiser.zero_grad()
    discriminator(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    assert watch.collect()["gradient/discriminator"] == pytest.approx(2.0)
    watch.close()
