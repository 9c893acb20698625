"""`generate_diagnostics_report`, the records on disk, and the command that shows them."""

import json
from typing import NamedTuple

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from matplotlib.image import imread
from torch import Tensor, nn

from soundgate.cli import main
from soundgate.runtime.errors import ConfigError, FormatError
from soundgate.runtime.files import write_json
from soundgate.training.health import generate_diagnostics_report, load_health
from soundgate.training.health.command import PICTURE_FILE, alarms_of
from soundgate.training.health.findings import Finding
from soundgate.training.health.picture import draw_diagnostics
from soundgate.training.health.records import RECORDS_FILE, Record, RecordFile, read_records
from tests.training.duel import Discriminator, health

T = 2048


class Named(NamedTuple):
    wav: Tensor
    who: Tensor


class Voices(NamedTuple):
    embedding: Tensor


class Embedder(nn.Module):
    """The level of a sound, as a direction."""

    def forward(self, wav):
        level = wav.std(dim=1)
        return torch.stack([level.cos(), level.sin()], dim=1)


class Converter(nn.Module):
    """Sound at the level that a voice asks for."""

    def __init__(self):
        super().__init__()
        self.speaker, self.scale = Embedder(), nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.scale.weight)
        self.dropout = nn.Dropout(0.5)

    def voices(self, batch):
        return Voices(batch.wav.std(dim=1, keepdim=True))

    def forward(self, batch, voices):
        wav = self.dropout(batch.wav / batch.wav.std(dim=1, keepdim=True))
        return wav * self.scale(voices.embedding)


class Lists(nn.Module):
    """Scores as a list, beside features, as HiFi-GAN's discriminators give them."""

    def __init__(self):
        super().__init__()
        self.inner = Discriminator()

    def forward(self, wav):
        points = wav[:, :4]
        return [self.inner(points), self.inner(2 * points)], [points]


def batch(levels=(0.5, 1.0, 1.5)):
    noise = torch.randn(len(levels), T, generator=torch.Generator().manual_seed(0))
    return Named(noise / noise.std(dim=1, keepdim=True) * torch.tensor(levels)[:, None], torch.arange(len(levels)))


def report(folder, model, given, step=100, losses=None, **more):
    return generate_diagnostics_report(
        model=model, mpd=more.get("mpd"), mrd=more.get("mrd"), batch=given, device="cpu",
        losses=losses or {"gen": 1.0, "disc": 2.0}, prev_losses=more.get("prev_losses"), step=step, output_dir=folder,
        settings=health(),
    )  # fmt: skip


def test_figures_of_a_converter_are_what_they_must_be(tmp_path):
    model, mpd = Converter(), Lists()
    model.train()
    (model(batch(), model.voices(batch())).square().mean() * 3).backward()
    state = torch.get_rng_state()
    metrics, status = report(tmp_path, model, batch(), mpd=mpd, mrd=Discriminator4(), prev_losses={"gen": 3.0})
    assert status == "healthy" and torch.equal(torch.get_rng_state(), state)
    assert model.training and model.dropout.training
    made = batch().wav
    # The next one's level instead of its own: 1.0, 1.5, 0.5.
    change = torch.tensor([0.5, 0.5, -1.0]).norm() / torch.tensor([0.5, 1.0, 1.5]).norm()
    assert metrics["probe/swap_change"] == pytest.approx(float(change), rel=1e-4)
    assert metrics["probe/speaker_similarity"] == pytest.approx(1.0, abs=1e-4)
    assert metrics["probe/pairwise_ratio"] == pytest.approx(1.0, abs=1e-4)
    with torch.no_grad():
        expected = torch.stack([mpd.inner(made[:, :4]).mean(), mpd.inner(2 * made[:, :4]).mean()]).mean()
    assert metrics["probe/mpd_real"] == pytest.approx(float(expected), abs=1e-5)
    assert metrics["change/gen"] == -2.0 and "change/disc" not in metrics
    assert metrics["gradient/model"] == pytest.approx(abs(float(model.scale.weight.grad)))
    assert metrics["parameter/model"] == 1.0


class Discriminator4(nn.Module):
    def forward(self, wav):
        return wav.mean(dim=1)


@pytest.mark.parametrize("form", ["tensor", "channel", "mapping"])
def test_a_plain_model_and_a_plain_batch_will_do(tmp_path, form):
    wav = batch().wav
    given = {"tensor": wav, "channel": wav[:, None], "mapping": {"audio": wav}}[form]

    class Same(nn.Module):
        def forward(self, batch):
            return ((batch["audio"] if isinstance(batch, dict) else batch), "more")

    metrics, status = report(tmp_path, Same(), given)
    assert status == "healthy" and metrics["probe/pairwise_ratio"] == pytest.approx(1.0)


def test_a_model_that_says_the_same_to_everything_becomes_critical(tmp_path):
    class Mean(nn.Module):
        collapsed = False

        def forward(self, batch):
            wav = batch["wav"]
            return wav.mean(dim=0, keepdim=True).expand_as(wav) if self.collapsed else wav

    model, seen = Mean(), []
    for number in range(16):
        model.collapsed = number >= 12
        seen.append(report(tmp_path, model, {"wav": batch().wav}, step=100 * (number + 1))[1])
    assert seen == ["healthy"] * 14 + ["critical"] * 2
    last = read_records(tmp_path / RECORDS_FILE)[-1]
    assert [finding.rule for finding in last.findings] == ["collapse"] and "penalty" in last.findings[0].remedy


def test_a_step_reported_again_is_replaced(tmp_path):
    for step in (1, 2, 3, 2):
        report(tmp_path, nn.Identity(), batch().wav, step=step)
    assert [record.step for record in read_records(tmp_path / RECORDS_FILE)] == [1, 2]


def test_losses_and_gradients_that_are_not_finite_are_critical_at_once(tmp_path):
    assert report(tmp_path, nn.Identity(), batch().wav, losses={"gen": np.nan})[1] == "critical"
    model = Converter()
    model.scale.weight.grad = torch.full((1, 1), torch.inf)
    metrics, status = report(tmp_path / "other", model, batch())
    assert status == "critical" and metrics["nonfinite/gradients"] == 1 and metrics["gradient/model"] is None
    json.loads((tmp_path / "other" / RECORDS_FILE).read_text(), parse_constant=pytest.fail)


def write_run(folder):
    records = RecordFile(folder, 0)
    loud = Finding("exploding", "warning", "generator", "gradient norm 100, before 1")
    dead = Finding("vanished", "critical", "mpd", "gradient norm 0")
    for number in range(1, 13):
        findings = [loud] * (4 <= number <= 6 or number == 9) + [dead] * (number >= 6)
        records.add(Record(10 * number, {"loss/mel": 1 / number, "gradient/generator": float(number)}, findings))
    records.add(Record(125, {"nonfinite/batches": 1.0}, [Finding("non_finite", "critical", "batch", "mel")], False))
    return records


def test_alarms_are_told_once_for_as_long_as_they_last(tmp_path):
    alarms = [(alarm.first, alarm.last, alarm.finding.rule) for alarm in alarms_of(write_run(tmp_path).records)]
    assert alarms == [
        (40, 60, "exploding"), (60, 120, "vanished"), (90, 90, "exploding"), (125, 125, "non_finite"),
    ]  # fmt: skip


def test_the_command_tells_alarms_with_remedies_and_draws_them(tmp_path):
    write_run(tmp_path / "voice" / "train")
    done = CliRunner().invoke(main, ["health", str(tmp_path)], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert done.exit_code == 0
    for text in ("12 checks, last at step 120: critical, 4 alarms", "40-60", "exploding", "Nothing reaches this"):
        assert text in done.output
    picture = imread(tmp_path / "voice" / "train" / PICTURE_FILE)[..., :3]
    reddish = (picture[..., 0] - picture[..., 2] > 0.15).mean()
    assert 0.01 < reddish < 0.9


def test_a_healthy_run_is_drawn_without_shades(tmp_path):
    records = RecordFile(tmp_path, 0)
    for number in range(1, 5):
        records.add(Record(number, {"loss/mel": 1.0 / number, "probe/none": None}, []))
    done = CliRunner().invoke(main, ["health", str(tmp_path / RECORDS_FILE)], catch_exceptions=False)
    assert "4 checks, last at step 4: healthy, 0 alarms" in done.output
    picture = imread(tmp_path / PICTURE_FILE)[..., :3]
    assert (picture[..., 0] - picture[..., 2]).max() < 0.15


@pytest.mark.parametrize("name", ["a$b_{$", "100 $"])
def test_a_run_in_a_folder_of_any_name_is_drawn(tmp_path, name):
    draw_diagnostics([Record(1, {"loss/mel": 1.0}, [])], tmp_path / PICTURE_FILE, name)
    assert (tmp_path / PICTURE_FILE).read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_records_and_a_line_that_is_none_are_named(tmp_path):
    done = CliRunner().invoke(main, ["health", str(tmp_path)])
    assert done.exit_code == 1 and "found none" in done.output
    (tmp_path / RECORDS_FILE).write_text('{"step": 1}\n')
    with pytest.raises(FormatError, match="line 1"):
        read_records(tmp_path / RECORDS_FILE)


def test_the_environment_sets_the_interval_and_switches_off(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_json("params.yaml", {"health": health(least_checks=20).model_dump()})
    assert load_health() == health(least_checks=20)
    monkeypatch.setenv("SOUNDGATE_DIAGNOSTICS_INTERVAL", "7")
    assert load_health() == health(interval=7, least_checks=1)
    monkeypatch.setenv("SOUNDGATE_DIAGNOSTICS_INTERVAL", "0")
    assert not load_health().enabled
    monkeypatch.setenv("SOUNDGATE_DIAGNOSTICS_INTERVAL", "often")
    with pytest.raises(ConfigError, match="SOUNDGATE_DIAGNOSTICS_INTERVAL"):
        load_health()
