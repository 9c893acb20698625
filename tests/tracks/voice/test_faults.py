"""Faults really planted in small trainings of three architectures, and the counting on planted records."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from scipy import stats

from soundgate.cli import main
from soundgate.runtime.files import write_json
from soundgate.tracks.voice.faults import trials as trials_module
from soundgate.tracks.voice.faults.picture import draw_faults
from soundgate.tracks.voice.faults.registry import FAULTS, side_of_fault, side_of_trial
from soundgate.tracks.voice.faults.results import draw_curve, fault_table, summarise
from soundgate.tracks.voice.faults.rigs import ARCHITECTURES
from soundgate.tracks.voice.faults.scaling import scaled
from soundgate.tracks.voice.faults.scoring import Outcome, curve, false_alarms, outcome_of, outcomes_of, power
from soundgate.tracks.voice.faults.trials import Trial, observe_all, trials_of
from soundgate.tracks.voice.speaker.model import save_speaker
from soundgate.training.finite import NonFiniteBatch
from soundgate.training.health.records import RECORDS_FILE, read_records
from soundgate.training.loop import LoopSettings, fit
from tests.tracks.voice.fault_settings import fault_settings, material
from tests.training.duel import health


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return material(tmp_path_factory.mktemp("faults") / "cache")


def test_there_are_enough_faults_at_enough_strengths_on_either_side():
    held_out = {fault for fault in FAULTS if side_of_fault(fault) == "held_out"}
    assert len(FAULTS) >= 20 and all(len(spec.strengths) >= 3 for spec in FAULTS.values())
    # As it was fixed before anything was planted; another list is another benchmark.
    assert held_out == {
        "rate_small", "wrong_rate", "clipped_sound", "stuck_data", "duplicates", "missing_normalisation",
        "clip_to_nothing", "evaluation_mode", "dominance",
    }  # fmt: skip
    for side in ("held_out", "development"):
        trials = trials_of(side, fault_settings(), times=2)
        assert {side_of_trial(trial.number) for trial in trials} == {side}
        assert {side_of_fault(trial.fault) for trial in trials if trial.fault} == {side}
        assert sum(trial.fault is None for trial in trials) == 6 and len(set(trials)) == len(trials)
    assert {name for spec in FAULTS.values() for name in spec.architectures} == set(ARCHITECTURES)


def taken(rig, n_steps=2):
    """Return the losses of some steps, "refused" for those that were none."""
    seen = []
    torch.manual_seed(0)
    for step in range(n_steps):
        try:
            # Two speakers, where one is converted to the other.
            items = np.array([0, 4]) if "mpd" in rig.task.modules else np.arange(6)
            seen.append(rig.task.step(items, step))
        except NonFiniteBatch:
            seen.append("refused")
    return seen, [own.detach().clone() for own in rig.network.parameters()]


@pytest.mark.parametrize("architecture", ["regression", "encoder"])
def test_every_fault_changes_a_training(made, architecture):
    losses, weights = taken(ARCHITECTURES[architecture](made, 1), 4)
    for name, fault in FAULTS.items():
        if architecture in fault.architectures:
            rig = ARCHITECTURES[architecture](made, 1)
            fault.plant(rig, fault.strengths[-1])
            other_losses, other_weights = taken(rig, 4)
            same = all(torch.equal(a, b) for a, b in zip(weights, other_weights, strict=True))
            assert not same or losses != other_losses, name
            refused = sum(one == "refused" for one in other_losses)
            assert refused == (name == "bad_batch"), name


@pytest.mark.slow
def test_every_fault_changes_a_gan(made):
    losses, weights = taken(ARCHITECTURES["gan"](made, 1))
    for name, fault in FAULTS.items():
        if "gan" in fault.architectures:
            rig = ARCHITECTURES["gan"](made, 1)
            fault.plant(rig, fault.strengths[-1])
            other_losses, other_weights = taken(rig)
            same = all(torch.equal(a, b) for a, b in zip(weights, other_weights, strict=True))
            assert not same or losses != other_losses, name


def test_a_training_is_the_healthy_one_until_its_fault_comes_and_nothing_is_trained_twice(made, tmp_path, monkeypatch):
    trials = [Trial("regression", fault, strength, 1) for fault in ("bad_batch", "dc_offset") for strength in (0, 2)]
    trials.append(Trial("regression", None, 0, 1))
    runs = observe_all(trials, made, health(), 0, tmp_path)
    bad, mild = (Trial("regression", "bad_batch", strength, 1) for strength in (2, 0))
    offset = Trial("regression", "dc_offset", 2, 1)
    healthy = runs[Trial("regression", None, 0, 1)]
    assert [record["step"] for record in runs[bad]] == list(range(1, 10)) and len(healthy) == 3
    assert runs[bad][:5] == runs[mild][:5] and runs[bad][:3] == healthy
    assert [record["is_check"] for record in runs[bad]].count(False) == 0  # Of an interval of 1 every step is a check.
    assert runs[bad][5]["metrics"]["nonfinite/batches"] == 1.0
    assert len(runs[offset]) == 4 and runs[offset][0]["metrics"]["batch/offset"] > 0.9
    monkeypatch.setattr(trials_module, "fit", lambda *_, **__: pytest.fail("trained again"))
    monkeypatch.setattr(trials_module, "_comes", lambda trial: False)  # The beginning is finished too.
    assert observe_all(trials, made, health(), 0, tmp_path) == runs


@pytest.mark.parametrize("architecture", ["regression", "encoder", pytest.param("gan", marks=pytest.mark.slow)])
def test_watched_or_not_a_training_ends_with_the_same_bytes(made, tmp_path, architecture):
    loop = LoopSettings(epochs=1, batch_size=2 if architecture == "gan" else 6, steps_per_epoch=3, checkpoint_s=1e9)
    for watched in (None, health(interval=1)):
        task = ARCHITECTURES[architecture](made, 1).task
        task.evaluate = dict
        path = tmp_path / f"{watched is None}.pt"
        fit(task, loop, 9, seed=0, name="run", checkpoint=path, health=watched, diagnostics=tmp_path / "run")
    assert (tmp_path / "True.pt").read_bytes() == (tmp_path / "False.pt").read_bytes()
    assert len(read_records(tmp_path / "run" / RECORDS_FILE)) == 3


def records(values, key="batch/offset", first=1):
    return [{"step": first + place, "is_check": True, "metrics": {key: value}} for place, value in enumerate(values)]


OFFSET = Trial("regression", "dc_offset", 0, 1)
LATE = Trial("regression", "rate_large", 0, 1)


def test_an_alarm_counts_where_it_was_not_there_before():
    healthy = Trial("regression", None, 0, 1)
    settings = health()
    assert outcome_of(OFFSET, records([1.0] * 5), settings, 0) == Outcome(0, 0, 3, ("offset",))
    assert outcome_of(OFFSET, records([0.0] * 5), settings, 0) == Outcome(0, 0, None, ())
    assert outcome_of(LATE, records([0.0] * 5 + [1.0] * 4), settings, 5) == Outcome(5, 0, 3, ("offset",))
    # It stood before the fault, and goes on.
    assert outcome_of(LATE, records([1.0] * 9), settings, 5) == Outcome(5, 1, None, ())
    # Twice, as it ended in between.
    assert outcome_of(healthy, records([1.0] * 4 + [0.0] + [1.0] * 4), settings, 0) == Outcome(9, 2, None, ())
    refused = [{"step": 7, "is_check": False, "metrics": {}}]
    assert outcome_of(LATE, records([0.0] * 5) + refused, settings, 5).found_after == 2


def test_power_is_over_kinds_of_fault_and_false_alarms_have_poissons_interval():
    outcomes = {
        Trial("regression", fault, strength, 1): Outcome(0, 0, 3 if hit else None, ())
        for fault, hits in (("dc_offset", "111"), ("wrong_rate", "110"), ("stuck_data", "000"))
        for strength, hit in enumerate(int(hit) for hit in hits)
    }
    found = power(outcomes)
    assert found.value == pytest.approx(5 / 9) and found.n == 3 and found.ci_low == 0.0 and found.ci_high == 1.0
    none = false_alarms([Outcome(2000, 0, None, ()), Outcome(1000, 0, None, ())])
    assert none.value == 0.0 and none.ci_high == pytest.approx(3.689 / 3, abs=1e-3) and none.n == 2
    two = false_alarms([Outcome(2000, 2, None, ()), Outcome(0, 0, None, ())])
    assert two.value == 1.0 and two.ci_low == pytest.approx(0.121, abs=1e-3) and two.n == 1
    assert two.ci_high == pytest.approx(stats.chi2.ppf(0.975, 6) / 4)


def test_laxer_thresholds_are_further_from_what_is_healthy():
    settings = health()
    assert scaled(settings, 1.0).thresholds.model_dump() == pytest.approx(settings.thresholds.model_dump())
    lax, strict = (scaled(settings, scale).thresholds for scale in (2.0, 0.5))
    assert lax.z == 2 * settings.thresholds.z and lax.gradient == pytest.approx(settings.thresholds.gradient**2)
    assert lax.bandwidth < settings.thresholds.bandwidth < strict.bandwidth < 1
    assert lax.frozen < settings.thresholds.frozen < strict.frozen
    assert strict.offset < settings.thresholds.offset < lax.offset


def test_tables_curves_and_pictures(tmp_path):
    settings = fault_settings()
    runs = {OFFSET: records([1.0] * 5), OFFSET._replace(strength=2): records([0.0] * 5)}
    runs |= {Trial("regression", None, 0, 3): records([0.0] * 6)}
    outcomes = outcomes_of(runs, settings, health())
    found = summarise(outcomes)
    assert found["faults"] == {"dc_offset": {"regression": {"0.1": [1, 1], "1.0": [0, 1]}}}
    assert found["found"]["value"] == 0.5 and found["healthy_runs_with_alarm"]["value"] == 0.0
    rows = curve(runs, settings, health())
    shares = [row["found"]["value"] for row in rows]
    assert shares == sorted(shares, reverse=True)
    table = fault_table(outcomes)
    assert list(table["median_steps"].dropna()) == [3.0] and list(table["rules"]) == ["offset", ""]
    draw_curve(rows, tmp_path / "curve.png")
    draw_faults(table, tmp_path / "faults.png")
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("curve.png", "faults.png"))


@pytest.mark.slow
def test_the_command_measures_faults_in_the_networks_named(made, tmp_path, monkeypatch):
    """With one fault of one strength."""
    data = tmp_path / "a folder" / "voice"
    material(data / "cache")
    save_speaker(data / "speaker", made.speaker)
    monkeypatch.chdir(tmp_path)
    values = {"voice": {"health": fault_settings().model_dump(mode="json")}, "health": health().model_dump()}
    write_json(tmp_path / "params.yaml", values)
    monkeypatch.setattr("soundgate.runtime.scratch.work_hash", lambda *_: "code")
    few = {"evaluation_mode": FAULTS["evaluation_mode"]._replace(strengths=("both",))}
    for module in ("registry", "trials", "scoring", "results"):
        monkeypatch.setattr(f"soundgate.tracks.voice.faults.{module}.FAULTS", few)
    call = ["faults", "--data", str(data), "--times", "1", "--network", "regression", "--out", "results"]
    first = CliRunner().invoke(main, call, catch_exceptions=False)
    assert first.exit_code == 0, first.output
    assert "faults found: 1 " in first.output
    table = pd.read_csv(tmp_path / "results" / "faults_held_out.csv")
    assert "mode" in table["rules"][0].split() and list(table["found"]) == [1]
    summary = json.loads((tmp_path / "results" / "summary_held_out.json").read_text())
    assert summary["false_alarms"]["n"] == 1 and summary["found"]["value"] == 1.0
    assert (tmp_path / "results" / "curve_held_out.png").is_file()
    assert len(pd.read_csv(tmp_path / "results" / "curve_held_out.csv")) > 5
