import json
import math
import subprocess
import sys

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from soundgate.evaluation.gates import Gate, judge, summarise, verdict
from soundgate.pipeline import gates as gating
from soundgate.runtime.errors import ConfigError, GateError
from soundgate.runtime.files import read_json, write_json

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(FINITE, FINITE, st.sampled_from(["below", "above"]))
def test_the_margin_is_not_negative_exactly_where_the_gate_passes(value, threshold, side):
    result = verdict(value, side, threshold)
    assert (result["margin"] >= 0) == bool(result["pass"])
    assert bool(result["pass"]) == (value <= threshold if side == "below" else value >= threshold)


@pytest.mark.parametrize(
    ("value", "side", "margin", "passed"),
    [
        (0.5, "below", 0.1, 1),
        (0.6, "below", 0.0, 1),
        (0.7, "below", -0.1, 0),
        (0.7, "above", 0.1, 1),
        (0.5, "above", -0.1, 0),
    ],
)
def test_known_margins(value, side, margin, passed):
    result = verdict(value, side, 0.6)
    assert result["margin"] == pytest.approx(margin)
    assert result["pass"] == passed


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
@pytest.mark.parametrize("side", ["below", "above"])
def test_a_value_that_is_no_number_fails_and_stays_writable(value, side):
    result = verdict(value, side, 0.6, interval=(math.nan, 1.0), n=4)
    assert (result["value"], result["margin"], result["pass"], result["ci_low"]) == (None, None, 0, None)
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize(("side", "threshold"), [("under", 0.6), ("below", math.nan), ("above", math.inf)])
def test_a_gate_that_makes_no_sense_is_refused(side, threshold):
    with pytest.raises(GateError):
        verdict(0.5, side, threshold)


def test_judging_reads_values_intervals_and_counts_by_path():
    metrics = {"a": {"gain": 0.4, "ci": [0.3, 0.5]}, "n_speakers": 24, "works": True}
    gates = [
        Gate("gain", "a.gain", "above", 0.3, interval="a.ci", n="n_speakers"),
        Gate("works", "works", "above", 1.0),
    ]
    verdicts = judge(metrics, gates)
    assert list(verdicts) == ["gain", "works"]
    assert verdicts["gain"] == {
        "value": 0.4, "side": "above", "threshold": 0.3, "margin": pytest.approx(0.1), "pass": 1,
        "ci_low": 0.3, "ci_high": 0.5, "n": 24,
    }  # fmt: skip
    assert verdicts["works"] == {"value": 1.0, "side": "above", "threshold": 1.0, "margin": 0.0, "pass": 1}


@pytest.mark.parametrize(
    "gates",
    [
        [Gate("x", "a.gian", "above", 0)],
        [Gate("x", "a.gain.deeper", "above", 0)],
        [Gate("x", "label", "above", 0)],
        [Gate("x", "a.gain", "above", 0, n="n")],
        [Gate("x", "a.gain", "above", 0), Gate("x", "a.gain", "below", 0)],
    ],
)
def test_a_metric_that_is_missing_or_no_number_is_an_error_not_a_verdict(gates):
    with pytest.raises(GateError, match=r"^x: "):
        judge({"a": {"gain": 0.4}, "label": "good"}, gates)


def test_a_track_passes_where_all_gates_of_all_its_variants_do():
    good, bad = verdict(1, "above", 0), verdict(-1, "above", 0)
    summary = summarise({"s/a": {"x": good, "y": good}, "s/b": {"x": bad}, "r": {"x": good}})
    assert summary == {"n_gates": 4, "n_pass": 3, "all_pass": 0, "tracks": {"s": 0, "r": 1}}
    assert summarise({"r": {"x": good}})["all_pass"] == 1
    for nothing in ({}, {"r": {}}):
        with pytest.raises(GateError, match="at least one gate"):
            summarise(nothing)


@pytest.fixture
def profile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("profile: [tiny]\n")
    gates = judge({"g": 0.4, "h": math.nan}, [Gate("gain", "g", "above", 0.3), Gate("drift", "h", "below", 1)])
    write_json(tmp_path / "metrics/tiny/structure/mimi/gates.json", gates)
    write_json(tmp_path / "metrics/tiny/structure/left_over/gates.json", gates)
    settings = gating.SummarySettings(tracks={"structure": ("mimi",)})
    folders = [tmp_path / "metrics/tiny/structure"]
    gating.write_summary(settings, folders, tmp_path / "metrics/tiny/summary.json", tmp_path / "plots/tiny/gates.csv")
    return tmp_path


def test_the_summary_counts_the_named_variants_only(profile):
    summary = read_json(profile / "metrics/tiny/summary.json")
    assert summary == {"n_gates": 2, "n_pass": 1, "all_pass": 0, "tracks": {"structure": 0}}
    lines = (profile / "plots/tiny/gates.csv").read_text().splitlines()
    assert lines[0] == ",".join(gating.COLUMNS)
    assert lines[1].startswith("structure/mimi: gain,structure/mimi,gain,0.4,above,0.3,0.1") and lines[2].startswith(
        "structure/mimi: drift,structure/mimi,drift,,"
    )


def test_parts_of_a_variant_count_for_its_track(profile):
    folders = [profile / "metrics/tiny/structure"]
    settings = gating.SummarySettings(tracks={"structure": ("mimi",)}, parts={"structure": ("dynamics/train",)})
    with pytest.raises(GateError, match=r"mimi/dynamics/train/gates\.json"):
        gating.read_verdicts(settings, folders)
    write_json(folders[0] / "mimi/dynamics/train/gates.json", judge({"g": 1.0}, [Gate("gain", "g", "above", 0.3)]))
    verdicts = gating.read_verdicts(settings, folders)
    assert list(verdicts) == ["structure/mimi", "structure/mimi/dynamics/train"]
    assert summarise(verdicts)["n_gates"] == 3 and summarise(verdicts)["tracks"] == {"structure": 0}


def test_a_missing_gate_file_or_track_is_named(profile):
    folders = [profile / "metrics/tiny/structure"]
    with pytest.raises(GateError, match=r"structure/encodec/gates\.json"):
        gating.read_verdicts(gating.SummarySettings(tracks={"structure": ("encodec",)}), folders)
    with pytest.raises(ConfigError, match=r"gates\.summary\.tracks"):
        gating.read_verdicts(gating.SummarySettings(tracks={"rooms": ()}), folders)


def test_the_command_shows_every_gate_and_fails_only_when_strict(profile):
    shown = CliRunner().invoke(gating.main, [])
    assert shown.exit_code == 0
    for text in ("gain", "drift", "0.4", "≥ 0.3", "pass", "fail", "none", "1 of 2 pass"):
        assert text in shown.output
    assert CliRunner().invoke(gating.main, ["--strict"]).exit_code == 1
    missing = CliRunner().invoke(gating.main, ["--profile", "full"])
    assert missing.exit_code == 1 and "soundgate repro profile=full" in missing.output


def test_strict_succeeds_where_all_gates_pass(profile):
    good = judge({"g": 0.4}, [Gate("gain", "g", "above", 0.3)])
    gating.gate_table({"structure/mimi": good}).to_csv(profile / "plots/tiny/gates.csv", index=False)
    done = subprocess.run(
        [sys.executable, "-m", "soundgate.pipeline.gates", "--strict"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 1 pass" in done.stdout
