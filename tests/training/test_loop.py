import numpy as np
import pytest
import torch

from soundgate.runtime.errors import FormatError, TrainingError
from soundgate.training.loop import LoopSettings, fit

SETTINGS = LoopSettings(epochs=3, batch_size=4, steps_per_epoch=5, checkpoint_s=1e-9)


class Line:
    """Fits y = 2 x with noise drawn from PyTorch's generator, so that a resumed run must draw the same."""

    def __init__(self, stop_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Linear(1, 1)
        self.modules = {"model": self.model}
        self.optimisers = {"adam": torch.optim.Adam(self.model.parameters(), 0.05)}
        self.stop_at, self.seen = stop_at, []

    def step(self, rows, step):
        if step == self.stop_at:
            raise KeyboardInterrupt
        self.seen.append(rows)
        x = torch.from_numpy(rows).float()[:, None] / 10
        loss = (self.model(x) - 2 * x + 0.1 * torch.randn_like(x)).square().mean()
        self.optimisers["adam"].zero_grad()
        loss.backward()
        self.optimisers["adam"].step()
        return {"loss": float(loss.detach())}

    def evaluate(self):
        return {"slope": float(self.model.weight.detach())}


def run(task, path, settings=SETTINGS, name="line", **watched):
    return fit(task, settings, 10, seed=3, name=name, checkpoint=path, **watched)


def state(task):
    moments = task.optimisers["adam"].state_dict()["state"]
    return [*task.model.state_dict().values(), *(m["exp_avg_sq"] for m in moments.values())]


@pytest.mark.parametrize("stop_at", [1, 4, 5, 7, 14])
def test_a_killed_run_goes_on_bit_for_bit(tmp_path, stop_at):
    whole, killed, resumed = Line(), Line(stop_at), Line()
    history = run(whole, tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        run(killed, tmp_path / "killed.pt")
    assert run(resumed, tmp_path / "killed.pt") == history
    assert all(torch.equal(a, b) for a, b in zip(state(whole), state(resumed), strict=True))
    assert len(killed.seen) + len(resumed.seen) == 15, "a finished step was repeated"
    assert (tmp_path / "killed.pt").read_bytes() == (tmp_path / "whole.pt").read_bytes()


def test_a_checkpoints_bytes_depend_on_nothing_but_the_training(tmp_path):
    for name in ("one", "other"):
        run(Line(), tmp_path / f"{name}.pt")
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "other.pt").read_bytes()


def test_a_finished_run_is_not_trained_again(tmp_path):
    history = run(Line(), tmp_path / "run.pt")
    again = Line()
    assert run(again, tmp_path / "run.pt") == history and not again.seen


def test_more_epochs_go_on_where_fewer_ended(tmp_path):
    whole = run(Line(), tmp_path / "whole.pt")
    run(Line(), tmp_path / "part.pt", SETTINGS.model_copy(update={"epochs": 1}))
    assert run(Line(), tmp_path / "part.pt") == whole


def test_a_pass_deals_every_item_at_most_once(tmp_path):
    task = Line()
    fit(task, LoopSettings(epochs=2, batch_size=5), 10, seed=0, name="pass", checkpoint=tmp_path / "run.pt")
    epochs = np.sort(np.concatenate(task.seen).reshape(2, 10), axis=1)
    assert np.array_equal(epochs, np.tile(np.arange(10), (2, 1)))
    assert not np.array_equal(task.seen[0], task.seen[2])


def test_history_holds_means_and_evaluations(tmp_path):
    history = run(Line(), tmp_path / "run.pt")
    assert [row["step"] for row in history] == [5, 10, 15]
    assert abs(history[-1]["slope"] - 2) < abs(history[0]["slope"] - 2)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tmp_path):
    class Diverges(Line):
        def step(self, rows, step):
            losses = super().step(rows, step)
            return losses if step < 7 else {"loss": float("nan")}

    with pytest.raises(TrainingError, match="step 7"):
        run(Diverges(), tmp_path / "run.pt")
    resumed = Line()
    run(resumed, tmp_path / "run.pt")
    assert len(resumed.seen) == 8


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    (tmp_path / "run.pt").write_bytes(damage)
    with pytest.raises(FormatError, match=r"run\.pt"):
        run(Line(), tmp_path / "run.pt")
    assert (tmp_path / "run.pt").read_bytes() == damage


def test_a_cut_checkpoint_is_named(tmp_path):
    run(Line(), tmp_path / "run.pt")
    whole = (tmp_path / "run.pt").read_bytes()
    (tmp_path / "run.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"run\.pt"):
        run(Line(), tmp_path / "run.pt")


def test_nothing_to_train_on_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match="none"):
        fit(Line(), SETTINGS, 0, seed=0, name="empty", checkpoint=tmp_path / "run.pt")
