from __future__ import annotations

import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from soundgate.tracks.structure.analysis import analyse
from soundgate.tracks.structure.decision import decide
from soundgate.tracks.structure.fitting import fit_conditioning
from soundgate.tracks.structure.planted import CorpusShape, autoregressive
from soundgate.tracks.structure.plots import write_plots
from soundgate.tracks.structure.report import Provenance, report_markdown, report_text
from soundgate.tracks.structure.tables import metrics_table


@pytest.fixture(scope="module")
def measured(small_conditioning, small_metrics):
    sequences = autoregressive(CorpusShape(8, 4, 50, 4, n_eval=3), 0.5, 0)
    fitted = fit_conditioning(sequences, small_conditioning, 0)
    return analyse(sequences, fitted, small_conditioning, small_metrics, 0)


@pytest.fixture(scope="module")
def provenance() -> Provenance:
    index = pd.DataFrame({"utt_id": list("abc"), "speaker_id": ["x", "x", "y"], "duration_s": [3600.0, 1800.0, 1.0]})
    index["path"] = index["utt_id"] + ".wav"
    rejected = pd.DataFrame({"path": ["bad/one.wav"], "reason": ["truncated: 5 of 9 samples"]})
    return Provenance("gain_shape", index, rejected, index.iloc[:2])


def test_metrics_are_plain_json_with_what_the_issue_asks(measured):
    metrics, curves = measured
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    json.dumps(curves, allow_nan=False)
    for condition in metrics["conditions"].values():
        for entry in condition["lags"].values():
            gain = entry["sound"]["gain_new"]["innovation"]
            assert gain["ci_low"] <= gain["value"] <= gain["ci_high"] and gain["n"] == 3
    assert len(metrics["conditions"]["mean_vq"]["seeds"]) == 1
    assert 0.15 < metrics["linear_floor_r2"]["value"] < 0.3  # a^2 of an AR(1) with a = 0.5
    assert metrics["ceiling"]["ci_low"] <= metrics["ceiling"]["value"] <= metrics["ceiling"]["ci_high"]
    assert abs(metrics["ceiling"]["value"]) < 0.3
    assert set(metrics["power"]) == {"0.01", "0.1"}


def test_analysing_twice_gives_the_same_numbers(measured, small_conditioning, small_metrics):
    sequences = autoregressive(CorpusShape(8, 4, 50, 4, n_eval=3), 0.5, 0)
    fitted = fit_conditioning(sequences, small_conditioning, 0)
    assert analyse(sequences, fitted, small_conditioning, small_metrics, 0) == measured


@pytest.mark.parametrize("render", [report_markdown, report_text])
def test_reports_name_the_decisions_the_first_failures_and_every_rejection(measured, thresholds, provenance, render):
    metrics, _ = measured
    text = render(metrics, decide(metrics, thresholds), provenance)
    assert "Sound decision: UNDECIDED" in text and "Seed's decision: FAIL" in text
    assert "Why that is no FAIL: with a probability of 80%" in text and "Detectable gain" in text
    assert len(re.findall("first misses", text)) == 6
    assert "bad/one.wav: truncated: 5 of 9 samples" in text.replace("`", "")
    assert "c.wav: too short, 1.00 s" in text.replace("`", "") and "a.wav" not in text
    assert "1 rejected as audio, 1 skipped as shorter" in text
    assert "3 utterances of 2 speakers, 1.50 h; 1 files rejected, 1 utterances skipped" in text


def test_nothing_left_out_is_said(measured, thresholds, provenance):
    metrics, _ = measured
    whole = replace(provenance, rejected=provenance.rejected.iloc[:0], encoded=provenance.index)
    text = report_markdown(metrics, decide(metrics, thresholds), whole)
    assert "## Files left out\n\nNone.\n" in text


def test_every_number_of_the_table_stands_in_the_report(measured, thresholds, provenance):
    metrics, _ = measured
    text = report_markdown(metrics, decide(metrics, thresholds), provenance)
    table = metrics_table(metrics)
    assert len(table) == 6
    for gain in table["gain"]:
        assert f"{gain:.4f}" in text


def test_plots_are_written_as_pictures_and_tables_and_twice_the_same(measured, thresholds, tmp_path):
    metrics, curves = measured
    curves = curves | {"speaker_names": [f"s{i}" for i in range(8)]}
    for name in ("one", "two"):
        write_plots(metrics, curves, thresholds, tmp_path / name)
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert {
        "gain.png",
        "variance_ratio.png",
        "cluster_sizes.png",
        "variance_against_size.png",
        "confidence.png",
        "cluster_means_pca.png",
        "speakers.png",
        "gain.csv",
        "confidence.csv",
        "speakers.csv",
    } <= names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    speakers = pd.read_csv(tmp_path / "one" / "speakers.csv")
    assert set(speakers["speaker"]) == {"s5", "s6", "s7"} and len(speakers) == 9


@pytest.mark.parametrize("name", ["a$b_{$", "100 $"])
def test_plots_show_speakers_of_any_name(measured, thresholds, tmp_path, name):
    metrics, curves = measured
    write_plots(metrics, curves | {"speaker_names": [f"{name}{i}" for i in range(8)]}, thresholds, tmp_path)
    assert (tmp_path / "speakers.png").read_bytes().startswith(b"\x89PNG")


def test_an_interrupted_analysis_goes_on_and_gives_the_same(
    measured, small_conditioning, small_metrics, tmp_path, monkeypatch
):
    from soundgate.tracks.structure import analysis

    sequences = autoregressive(CorpusShape(8, 4, 50, 4, n_eval=3), 0.5, 0)
    fitted = fit_conditioning(sequences, small_conditioning, 0)
    real, calls = analysis.held_out_errors, []

    def dies_at_third(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(analysis, "held_out_errors", dies_at_third)
    with pytest.raises(KeyboardInterrupt):
        analyse(sequences, fitted, small_conditioning, small_metrics, 0, tmp_path)
    finished = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert len(finished) == 2
    assert analyse(sequences, fitted, small_conditioning, small_metrics, 0, tmp_path) == measured
    assert len(calls) == 3 + len(fitted.conditions) - 2
    assert all((tmp_path / name).stat().st_mtime_ns == stamp for name, stamp in finished.items())
