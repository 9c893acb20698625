import numpy as np
import pytest
import torch

from soundgate.runtime.config import Section
from soundgate.runtime.errors import FormatError, TrainingError
from soundgate.runtime.files import sha256_of
from soundgate.training.loop import LoopSettings, fit, work_params

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


def test_fewer_epochs_than_a_checkpoint_has_begin_anew(tmp_path):
    shorter = SETTINGS.model_copy(update={"epochs": 2})
    expected = run(Line(), tmp_path / "shorter.pt", shorter)
    run(Line(), tmp_path / "longer.pt")
    assert run(Line(), tmp_path / "longer.pt", shorter) == expected
    assert (tmp_path / "longer.pt").read_bytes() == (tmp_path / "shorter.pt").read_bytes()


def test_a_horizon_alone_says_how_schedules_run():
    assert (SETTINGS.n_steps(10), SETTINGS.model_copy(update={"horizon": 8}).n_steps(10)) == (15, 40)


class Whole(Section):
    loop: LoopSettings
    rate: float


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"checkpoint_s": 1.0}, True), ({"patience": 0}, True), ({"workers": 2}, True), ({"epochs": 9}, False),
        ({"horizon": 3}, False), ({"batch_size": 5}, False), ({"steps_per_epoch": 6}, False),
    ],
)  # fmt: skip
def test_the_work_key_holds_what_changes_numbers(change, same):
    before, after = (work_params(Whole(loop=SETTINGS.model_copy(update=own), rate=1)) for own in ({}, change))
    assert (before == after) == same
    assert work_params(Whole(loop=SETTINGS, rate=2)) != before


def test_with_a_horizon_the_length_is_not_in_the_work_key():
    keys = [
        work_params(Whole(loop=SETTINGS.model_copy(update={"horizon": 9, "epochs": epochs}), rate=1))
        for epochs in (3, 4)
    ]
    assert keys[0] == keys[1]


def test_a_training_begins_with_the_weights_of_another(tmp_path):
    run(Line(), tmp_path / "first.pt")
    begun = SETTINGS.model_copy(update={"init_from": str(tmp_path / "first.pt"), "epochs": 0})
    first, second = Line(), Line()
    run(first, tmp_path / "first.pt")
    run(second, tmp_path / "second.pt", begun)
    assert all(torch.equal(*pair) for pair in zip(first.model.parameters(), second.model.parameters(), strict=True))
    assert not second.optimisers["adam"].state_dict()["state"]
    # Its own checkpoint comes before the weights that it began with.
    history = run(Line(), tmp_path / "longer.pt", begun.model_copy(update={"epochs": 2}))
    run(Line(), tmp_path / "resumed.pt", begun.model_copy(update={"epochs": 1}))
    assert run(Line(), tmp_path / "resumed.pt", begun.model_copy(update={"epochs": 2})) == history
    assert history != run(Line(), tmp_path / "random.pt", SETTINGS.model_copy(update={"epochs": 2}))
    keys = [work_params(Whole(loop=loop, rate=1))["loop"]["init_from"] for loop in (SETTINGS, begun)]
    assert keys == [None, sha256_of(tmp_path / "first.pt")]


@pytest.mark.parametrize(
    ("modules", "found"),
    [
        ({"other": {}}, "modules other; wanted: model"),
        ({"model": {"weight": torch.zeros(2, 2), "bias": torch.zeros(1)}}, "size mismatch|Error"),
        (None, "No such file"),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path, modules, found):
    path = tmp_path / "other.pt"
    if modules is not None:
        torch.save({"modules": modules}, path)
    with pytest.raises(FormatError, match=f"other.pt: expected a checkpoint of such a training; found .*({found})"):
        run(Line(), tmp_path / "run.pt", SETTINGS.model_copy(update={"init_from": str(path)}))


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
