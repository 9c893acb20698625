import dataclasses
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

GATES = {
    "hashes", "shared_speakers", "shared_rooms", "stored_snr_error_db", "stored_t60_error", "stored_c50_error_db",
    "stored_alignment_error", "embedding_t60_r2", "embedding_c50_r2", "padding_share", "narrow_share",
}  # fmt: skip
OF_VOICES = {"sterilise_gain_db", "sterilise_clean_loss_db"}


def test_a_sound_run_passes_every_gate(batches, manifest, tables):
    metrics = measured(batches, manifest, tables)
    verdicts = judge(metrics, run_gates(LIMITS, metrics))
    assert set(verdicts) == GATES | OF_VOICES and failing(metrics) == set()
    assert metrics["counts"] == {
        "n_triples": 20, "n_batches": 6, "n_rejected": 0, "n_speakers": 6, "n_rooms": 7,
        "size_bytes": manifest["size_bytes"], "complete": 1,
    }  # fmt: skip
    assert metrics["hashes"] == {"n_files": 12, "n_mismatched": 0, "mismatched": [], "control_mismatched": 6}
    assert sum(metrics["splits"]["n_triples"].values()) == 20 and len(metrics["splits"]["n_triples"]) == 3
    noises = len(tables["stored"].levels)
    assert verdicts["stored_snr_error_db"]["n"] == noises > 0 and verdicts["stored_t60_error"]["n"] == 4
    json.dumps(metrics, allow_nan=False)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_fails_its_gate_and_no_other(batches, manifest, tables, tmp_path, fault):
    folder = shutil.copytree(batches, tmp_path / "batches")
    fault(tables, folder)
    metrics = measured(folder, manifest, tables)
    gate, value, *tolerance = FAULTS[fault]
    assert failing(metrics) == {gate}
    found = judge(metrics, run_gates(LIMITS, metrics))[gate]["value"]
    assert found == pytest.approx(value, abs=tolerance[0] if tolerance else 1e-3)


def test_one_db_in_few_noises_fails_nothing(batches, manifest, tables):
    levels = pd.concat([tables["stored"].levels] * 10, ignore_index=True)
    levels.loc[: len(levels) // 25, "stored_snr_db"] += 1
    tables["stored"] = dataclasses.replace(tables["stored"], levels=levels)
    metrics = measured(batches, manifest, tables)
    assert failing(metrics) <= {"stored_snr_error_db"}
    assert judge(metrics, run_gates(LIMITS, metrics))["stored_snr_error_db"]["verdict"] == "undecided"


def test_voices_without_a_truth_have_no_gate(batches, manifest, tables):
    tables["voices"][["sdr_before_db", "sdr_after_db"]] = np.nan
    metrics = measured(batches, manifest, tables)
    assert set(judge(metrics, run_gates(LIMITS, metrics))) == GATES
    assert metrics["sterilise"]["n_known"] == 0 and metrics["sterilise"]["gain_db"]["value"] is None
    tables["voices"].loc[0, ["sdr_before_db", "sdr_after_db"]] = 10.0, 11.0
    assert measured(batches, manifest, tables)["sterilise"]["n_known"] == 1


def test_rooms_that_were_simulated_have_a_gate_of_their_own(batches, manifest, tables):
    rooms = tables["stored"].rooms
    rooms["rt60_true_s"] = rooms["rt60_s"].astype(float) / 1.2
    metrics = measured(batches, manifest, tables)
    assert failing(metrics) == {"stored_t60_true_error"}
    assert metrics["rooms"]["stored_t60_true_error"]["value"] == pytest.approx(0.2, abs=0.03)


def test_two_responses_of_a_room_are_one_unit_and_can_be_retrieved(batches, manifest, tables):
    tables["stored"].rooms["room_id"] = ["a", "a", "b", "c"]
    assert measured(batches, manifest, tables)["rooms"]["stored_t60_error"]["n"] == 3


def test_controls_are_not_what_is_measured(batches, manifest, tables):
    metrics = measured(batches, manifest, tables)
    assert metrics["splits"]["control_shared_speakers"] > 1 and metrics["splits"]["control_shared_rooms"] > 1
    assert metrics["snr"]["control_error_db"] > 100 * metrics["snr"]["stored_error_db"]["value"]
    assert metrics["rooms"]["control_t60_error"] > 20 * metrics["rooms"]["stored_t60_error"]["value"]
    assert metrics["sterilise"]["control_gain_db"]["value"] < 0 < metrics["sterilise"]["gain_db"]["value"]
    assert metrics["sterilise"]["clean_loss_db"]["value"] == 0 and metrics["sterilise"]["n_noisy"] == 8


def test_the_control_of_rooms_is_never_the_room_itself(batches, manifest, tables):
    rooms = tables["stored"].rooms
    rooms["room_id"] = ["a", "a", "b", "b"]
    rooms["stored_rt60_s"], rooms["heard_rt60_s"] = [1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]
    assert measured(batches, manifest, tables)["rooms"]["control_t60_error"] == pytest.approx(0.75)


def test_estimates_lie_in_their_intervals_and_follow_the_seed(batches, manifest, tables):
    generator = np.random.default_rng(0)
    levels = tables["stored"].levels
    levels["stored_snr_db"] += generator.normal(0, 0.1, len(levels))
    one, again, other = (measured(batches, manifest, tables, seed) for seed in (0, 0, 1))
    assert one == again
    for section, name in (("snr", "stored_error_db"), ("sterilise", "gain_db")):
        estimate = one[section][name]
        low, high = estimate["ci"]
        assert low < estimate["value"] < high and estimate["n"] >= 4
        assert other[section][name]["value"] == estimate["value"]
    assert one["snr"] != other["snr"]


def test_a_run_without_noise_fails_its_gate_rather_than_pass_unseen(batches, manifest, tables):
    tables["stored"] = dataclasses.replace(tables["stored"], levels=tables["stored"].levels.iloc[:0])
    metrics = measured(batches, manifest, tables)
    nothing = {"value": None, "ci": [None, None], "n": 0}
    assert metrics["snr"] == {"stored_error_db": nothing, "control_error_db": None, "n_silent": 0}
    assert failing(metrics) == {"stored_snr_error_db"}


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
