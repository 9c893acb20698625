import json
import shutil

import numpy as np
import pandas as pd
import pytest

from soundgate.evaluation.gates import judge
from soundgate.tracks.rooms.measures import (
    all_rejections,
    run_gates,
)

from .run_faults import FAULTS, LIMITS, failing, measured

GATES = {"hashes", "shared_speakers", "shared_rooms", "snr_error_db", "rt60_error", "alignment_error"}


def test_a_sound_run_passes_every_gate(batches, manifest, tables):
    metrics = measured(batches, manifest, tables)
    verdicts = judge(metrics, run_gates(LIMITS, metrics))
    assert set(verdicts) == GATES | {"sdr_gain_db"} and failing(metrics) == set()
    assert metrics["counts"] == {
        "n_triples": 20, "n_batches": 5, "n_rejected": 0, "n_speakers": 6, "n_rooms": 7,
        "size_bytes": manifest["size_bytes"], "complete": 1,
    }  # fmt: skip
    assert metrics["hashes"] == {"n_files": 10, "n_mismatched": 0, "mismatched": [], "control_mismatched": 5}
    assert sum(metrics["splits"]["n_triples"].values()) == 20 and len(metrics["splits"]["n_triples"]) == 3
    noises = (tables["effects"]["name"] == "noise").sum()
    assert verdicts["snr_error_db"]["n"] == noises > 0 and verdicts["rt60_error"]["n"] == 7
    json.dumps(metrics, allow_nan=False)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_fails_its_gate_and_no_other(batches, manifest, tables, tmp_path, fault):
    folder = shutil.copytree(batches, tmp_path / "batches")
    fault(tables, folder)
    metrics = measured(folder, manifest, tables)
    gate, value = FAULTS[fault]
    assert failing(metrics) == {gate}
    assert judge(metrics, run_gates(LIMITS, metrics))[gate]["value"] == pytest.approx(value, abs=1e-3)


def test_one_db_in_few_noises_fails_nothing(batches, manifest, tables):
    tables["effects"] = pd.concat([tables["effects"]] * 10, ignore_index=True)
    noise = tables["effects"].index[tables["effects"]["name"] == "noise"]
    tables["effects"].loc[noise[: len(noise) // 25], "achieved_snr_db"] += 1
    metrics = measured(batches, manifest, tables)
    assert failing(metrics) <= {"snr_error_db"}
    assert judge(metrics, run_gates(LIMITS, metrics))["snr_error_db"]["verdict"] == "undecided"


def test_voices_without_a_truth_have_no_gate(batches, manifest, tables):
    tables["voices"][["sdr_before_db", "sdr_after_db"]] = np.nan
    metrics = measured(batches, manifest, tables)
    assert set(judge(metrics, run_gates(LIMITS, metrics))) == GATES
    assert metrics["sterilise"]["n_known"] == 0 and metrics["sterilise"]["sdr_gain_db"] is None
    assert metrics["sterilise"]["n_control"] == 0 and metrics["sterilise"]["control_sdr_gain_db"] is None
    tables["voices"].loc[0, ["sdr_before_db", "sdr_after_db"]] = 10.0, 11.0
    assert measured(batches, manifest, tables)["sterilise"]["n_known"] == 1


def test_a_voice_left_alone_counts_as_no_gain(batches, manifest, tables):
    tables["voices"].loc[4, ["sdr_before_db", "sdr_after_db"]] = 100.0
    sterilised = measured(batches, manifest, tables)["sterilise"]
    assert sterilised["sdr_gain_db"] == 0 and sterilised["share_not_lower"] == 1 and sterilised["n_known"] == 12


def test_controls_are_not_what_is_measured(batches, manifest, tables):
    metrics = measured(batches, manifest, tables)
    assert metrics["splits"]["control_shared_speakers"] > 1 and metrics["splits"]["control_shared_rooms"] > 1
    assert metrics["snr"]["control_error_db"] > 1000 * metrics["snr"]["error_db"]["value"]
    assert metrics["rooms"]["control_rt60_error"] > 100 * metrics["rooms"]["rt60_error"]
    assert metrics["rooms"]["control_alignment_error"] == 121
    assert metrics["sterilise"]["control_sdr_before_db"] == 10
    assert metrics["sterilise"]["control_sdr_gain_db"] == -3 and metrics["sterilise"]["n_control"] == 3


def test_estimates_lie_in_their_intervals_and_follow_the_seed(batches, manifest, tables):
    generator = np.random.default_rng(0)
    effects = tables["effects"]
    effects["achieved_snr_db"] += generator.normal(0, 0.1, len(effects))
    tables["rooms"]["rt60_true_s"] = tables["rooms"]["rt60_s"].astype(float) * generator.uniform(0.9, 1.1, 7)
    one, again, other = (measured(batches, manifest, tables, seed) for seed in (0, 0, 1))
    assert one == again
    for section, name in (("snr", "error_db"), ("rooms", "rt60_error_to_truth"), ("sterilise", "sdr_gain_median_db")):
        estimate = one[section][name]
        low, high = estimate["ci"]
        assert low < estimate["value"] < high and estimate["n"] > 6
        assert other[section][name]["value"] == estimate["value"]
    assert any(one[section] != other[section] for section in ("snr", "rooms", "sterilise"))
    assert one["sterilise"]["sdr_gain_median_db"]["value"] == 7.5


def test_a_run_without_noise_fails_its_gate_rather_than_pass_unseen(batches, manifest, tables):
    tables["effects"] = tables["effects"][tables["effects"]["name"] != "noise"]
    metrics = measured(batches, manifest, tables)
    assert metrics["snr"] == {"error_db": {"value": None, "ci": [None, None], "n": 0}, "control_error_db": None}
    assert failing(metrics) == {"snr_error_db"}


def test_all_rejections_are_counted_by_step_and_kind():
    irs = [
        {"path": "a", "reason": "insufficient decay: 11.0 dB above the noise floor"},
        {"path": "b", "reason": "insufficient decay: 12.5 dB above the noise floor"},
        {"path": "c", "reason": "duplicate content of data/a.wav in pool bad"},
    ]
    voices = pd.DataFrame({
        "outcome": ["kept", "rejected", "rejected", "kept"],
        "reason": ["is clean", "truncated: 3 of 9 bytes", "truncated: 5 of 9 bytes", "truncated: no"],
    })  # fmt: skip
    assert all_rejections(irs, voices, {"source: silent": 3}) == {
        "room: duplicate content": 1, "room: insufficient decay": 2, "triple: source: silent": 3, "voice: truncated": 2,
    }  # fmt: skip
    assert all_rejections([], voices.iloc[:0], {}) == {}
