"""The monitor in loops that are not this repository's: plain PyTorch, transformers, Lightning."""

import builtins
import importlib
import re
import sys

import pytest
import torch
from click.testing import CliRunner
from ruamel.yaml import YAML
from torch import nn

from soundgate.cli import main
from soundgate.runtime.errors import ConfigError
from soundgate.training.health.defaults import DEFAULTS
from soundgate.training.health.hooks import watch
from soundgate.training.health.records import RECORDS_FILE, read_records
from soundgate.training.health.seen import Seen
from tests.pipeline_file import ROOT

EVERY_STEP = DEFAULTS.model_copy(update={"interval": 1})
N_STEPS, FAULT = 24, 16
DOCS = (ROOT / "docs/training.md").read_text()


def data():
    inputs = torch.randn(N_STEPS, 8, 4, generator=torch.Generator().manual_seed(1))
    return inputs, inputs.sum(dim=2, keepdim=True)


class Network(nn.Module):
    """Dropout, which draws; a gradient that explodes from step ``FAULT`` on where it is asked for."""

    def __init__(self, explodes=False):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1))
        self.explodes, self.n_calls = explodes, 0

    def forward(self, inputs=None, labels=None):
        loss = (self.body(inputs) - labels).square().mean()
        if self.training:
            self.n_calls += 1
            loss = loss * (1e5 if self.explodes and self.n_calls > FAULT else 1)
        return {"loss": loss}


def plain(folder, explodes):
    torch.manual_seed(0)
    network = Network(explodes)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)

    def train(step_done):
        for inputs, labels in zip(*data(), strict=True):
            optimiser.zero_grad()
            loss = network(inputs, labels)["loss"]
            loss.backward()
            optimiser.step()
            step_done({"loss": loss}, len(inputs))

    if folder is None:
        train(lambda losses, n_items: None)
    else:
        with watch(network, optimiser, folder, settings=EVERY_STEP) as health:
            train(health.step)
    return network


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return N_STEPS * 8

    def __getitem__(self, number):
        inputs, labels = data()
        return {"inputs": inputs.flatten(0, 1)[number], "labels": labels.flatten(0, 1)[number]}


def by_transformers(folder, explodes):
    from transformers import Trainer, TrainingArguments

    from soundgate.training.health.trainer_callback import HealthCallback

    torch.manual_seed(0)
    network = Network(explodes)
    arguments = TrainingArguments(
        str(folder or "none"), max_steps=N_STEPS, per_device_train_batch_size=8, learning_rate=1e-3, use_cpu=True,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=0,
    )  # fmt: skip
    callbacks = [] if folder is None else [HealthCallback(folder, settings=EVERY_STEP)]
    Trainer(network, arguments, train_dataset=Rows(), callbacks=callbacks).train()
    return network


def by_lightning(folder, explodes):
    import lightning.pytorch as pl

    from soundgate.training.health.lightning_callback import HealthCallback

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = Network(explodes)

        def training_step(self, batch, number):
            return self.network(**batch)["loss"]

        def configure_optimizers(self):
            return torch.optim.AdamW(self.network.parameters(), 1e-3)

    pl.seed_everything(0, verbose=False)
    module = Module()
    trainer = pl.Trainer(
        max_steps=N_STEPS, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[] if folder is None else [HealthCallback(folder, settings=EVERY_STEP)],
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(Rows(), batch_size=8, shuffle=True))
    return module.network


LOOPS = [plain, by_transformers, by_lightning]


@pytest.mark.parametrize("train", LOOPS)
def test_weights_are_the_same_with_and_without_and_a_fault_is_named(tmp_path, train, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for explodes in (False, True):
        folder = tmp_path / str(explodes)
        alone, watched = train(None, explodes), train(folder, explodes)
        pairs = zip(alone.state_dict().values(), watched.state_dict().values(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)
        records = read_records(folder / RECORDS_FILE)
        assert [record.step for record in records if record.is_check] == list(range(1, N_STEPS + 1))
        assert all(record.metrics["loss/loss"] is not None for record in records)
        rules = {finding.rule for record in records if record.step > FAULT for finding in record.findings}
        assert not any(record.findings for record in records if record.step <= FAULT)
        assert ("exploding" in rules) == explodes and (explodes or not rules)
        hooks = [own._post_accumulate_grad_hooks for own in watched.parameters()]
        assert not any(hooks)
    done = CliRunner().invoke(main, ["health", str(tmp_path)], catch_exceptions=False, env={"COLUMNS": "200"})
    assert done.exit_code == 0 and "exploding" in done.output and f"{N_STEPS} checks" in done.output


def test_a_loop_that_goes_on_has_each_step_once(tmp_path):
    network = nn.Linear(4, 1)
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    for first, last in ((0, 10), (6, 14)):
        with watch({"net": network}, {"sgd": optimiser}, tmp_path, settings=EVERY_STEP, step=first) as health:
            for _ in range(first, last):
                network(torch.ones(2, 4)).sum().backward()
                optimiser.step()
                health.step({"loss": torch.ones(())}, 2)
    records = read_records(tmp_path / RECORDS_FILE)
    assert [record.step for record in records] == list(range(1, 15))
    assert records[-1].metrics["steps/sgd"] == 1.0 and "gradient/net" in records[-1].metrics


def test_a_probe_and_a_refused_batch_are_recorded(tmp_path):
    network = nn.Linear(4, 1)
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    settings = DEFAULTS.model_copy(update={"interval": 2})

    def probe():
        return {"training": float(network.training), "drawn": float(torch.rand(()))}

    with watch(network, optimiser, tmp_path, probe=probe, settings=settings) as health:
        state = torch.get_rng_state()
        health.skip("loss is not finite")
        health.step({}, 2)
        health.step({"loss": 1.0}, 2)
        assert torch.equal(torch.get_rng_state(), state) and network.training
    refused, checked = read_records(tmp_path / RECORDS_FILE)
    assert refused.findings[0].reason == "loss is not finite" and not refused.is_check
    assert checked.metrics["probe/training"] == 0.0


def test_what_needs_no_trend_is_named_within_a_few_steps(tmp_path):
    """Labels at random, and a loss that is climbed, from the first step on."""
    generator = torch.Generator().manual_seed(0)
    network = nn.Linear(4, 1)
    optimiser = torch.optim.SGD(network.parameters(), 0.01)
    places = 5 * torch.eye(4).repeat(4, 1)

    def loss():
        return (network(batch) - 1).square().mean()

    def seen():
        return Seen(features=batch, labels=torch.randint(4, (16,), generator=generator))

    def losses():
        return {"loss": float(loss().detach())}

    with watch(network, optimiser, tmp_path, seen=seen, losses=losses, settings=EVERY_STEP) as health:
        for _ in range(10):
            batch = places + torch.randn(16, 4, generator=generator)
            optimiser.zero_grad()
            (-loss()).backward()
            optimiser.step()
            health.step({"loss": loss()}, 16)
    records = read_records(tmp_path / RECORDS_FILE)
    first = {finding.rule: record.step for record in reversed(records) for finding in record.findings}
    assert first == {"labels": EVERY_STEP.least, "climbing": EVERY_STEP.climbing}


def test_hooks_are_taken_away_where_a_loop_fails(tmp_path):
    network = nn.Linear(4, 1)
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    with pytest.raises(KeyError), watch(network, optimiser, tmp_path):
        raise KeyError("of the loop's own")
    assert not optimiser._optimizer_step_pre_hooks and not optimiser._optimizer_step_post_hooks


def test_the_defaults_are_those_of_the_pipeline():
    assert DEFAULTS.model_dump() == YAML(typ="safe").load((ROOT / "conf" / "health.yaml").read_text())


def test_without_lightning_the_callback_says_what_is_missing(monkeypatch):
    imported = builtins.__import__

    def without(name, *more):
        if name.startswith("lightning"):
            raise ImportError("No module named 'lightning'")
        return imported(name, *more)

    monkeypatch.delitem(sys.modules, "soundgate.training.health.lightning_callback", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="uv pip install lightning"):
        importlib.import_module("soundgate.training.health.lightning_callback")


@pytest.mark.parametrize("name", ["plain PyTorch", "transformers", "Lightning"])
def test_the_examples_of_the_docs_run(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (text,) = re.findall(rf"<!-- example of {name} -->\n```python\n(.*?)```", DOCS, re.S)
    exec(compile(text, "docs/training.md", "exec"), {})
    (file,) = tmp_path.rglob(RECORDS_FILE)
    assert [record.step for record in read_records(file)] == [5, 10, 15, 20]
