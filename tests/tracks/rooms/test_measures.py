import hashlib
import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest

from soundgate.errors import FormatError
from soundgate.evaluation.gates import judge
from soundgate.files import read_json, sha256_of, write_json
from soundgate.tracks.rooms import rendering
from soundgate.tracks.rooms.acoustics import rendered_rooms
from soundgate.tracks.rooms.batches import own_batches, own_metas
from soundgate.tracks.rooms.irs import load_catalogue
from soundgate.tracks.rooms.manifest import build_manifest, closing_message, mismatches
from soundgate.tracks.rooms.measures import (
    GateSettings,
    all_rejections,
    measure_run,
    read_triples,
    rejections,
    run_gates,
)
from soundgate.tracks.rooms.plots import write_plots
from soundgate.tracks.rooms.quality import QualitySettings
from soundgate.tracks.rooms.rendering import RenderSettings, render

from .conftest import CLIP, RATE, parts

SETTINGS = RenderSettings(budget_gb=1, quality=QualitySettings(min_rms=1e-4, max_clipped_share=0.5))
LIMITS = GateSettings(snr_error_db=0.5, rt60_error=0.05, alignment_error=0, sdr_gain_db=0)
GATES = {"hashes", "shared_speakers", "shared_rooms", "snr_error_db", "rt60_error", "alignment_error"}


@pytest.fixture(scope="module")
def batches(small_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOUNDGATE_WORKERS", "1")
        render(parts(small_run), out, SETTINGS)
    return out


@pytest.fixture(scope="module")
def manifest(small_run, batches):
    return build_manifest(parts(small_run), batches, RATE)


@pytest.fixture(scope="module")
def rooms(small_run):
    return rendered_rooms(load_catalogue(small_run / "irs"), CLIP)


@pytest.fixture
def tables(small_run, batches, manifest, rooms):
    """What `measure_run` takes, as a dict to change; the voices get a truth that sterilising came nearer to."""
    triples, effects = read_triples(batches, manifest)
    voices = pd.read_parquet(small_run / "vocals/files.parquet")
    after = 12.0 + np.arange(len(voices))
    plain = np.where(np.arange(len(voices)) % 5 == 0, 7.0 + np.arange(len(voices)) / 10, np.nan)
    return {
        "triples": triples, "effects": effects, "rooms": rooms.copy(),
        "voices": voices.assign(sdr_before_db=10.0, sdr_after_db=after, control_sdr_db=plain),
    }  # fmt: skip


def measured(batches, manifest, tables, seed=0):
    return measure_run(batches, manifest, seed=seed, **tables)


def failing(metrics):
    return {name for name, gate in judge(metrics, run_gates(LIMITS, metrics)).items() if not gate["pass"]}


def test_rendered_rooms_are_those_of_the_catalogue(small_run, rooms):
    entries = load_catalogue(small_run / "irs").entries
    assert rooms["ir"].tolist() == list(entries) and set(rooms["pool"]) == {"bad", "target"}
    assert rooms["rt60_error"].max() < 1e-3 and rooms["c50_error_db"].max() < 0.1
    assert not rooms["alignment_error"].any() and rooms["removed_delay_samples"].abs().min() > 0


@pytest.fixture
def altered(small_run, tmp_path):
    """A function that measures a copy of the catalogue which ``change(card, samples)`` has altered."""

    def measure(change):
        folder = shutil.copytree(small_run / "irs", tmp_path / "irs")
        card, samples = read_json(folder / "ir_catalogue.json"), np.load(folder / "irs.npy")
        change(card, samples)
        np.save(folder / "irs.npy", samples)
        write_json(folder / "ir_catalogue.json", card | {"irs_sha256": sha256_of(folder / "irs.npy")})
        return rendered_rooms(load_catalogue(folder), CLIP)

    return measure


def others(table, name):
    return table[table["ir"] != name].reset_index(drop=True)


@pytest.mark.parametrize("name", ["bad-r1", "target-r12"])
def test_a_wrong_reverberation_time_is_seen(altered, rooms, name):
    def double(card, samples):
        card["irs"][name]["rt60_s"] *= 2

    found = altered(double)
    assert found.set_index("ir").loc[name, "rt60_error"] == pytest.approx(0.5, abs=1e-3)
    pd.testing.assert_frame_equal(others(found, name), others(rooms, name))


@pytest.mark.parametrize("name", ["bad-r1", "target-r12"])
@pytest.mark.parametrize("shift", [1, 9])
def test_a_response_out_of_place_is_seen(altered, rooms, name, shift):
    def move(card, samples):
        entry = card["irs"][name]
        place = slice(entry["offset"], entry["offset"] + entry["samples"])
        samples[place] = np.roll(samples[place], shift)

    found = altered(move)
    assert found.set_index("ir").loc[name, "alignment_error"] == shift
    pd.testing.assert_frame_equal(others(found, name), others(rooms, name))


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


def first_of(triples, split):
    return triples.index[triples["split"] == split][0]


def share_speaker(tables, batches):
    triples = tables["triples"]
    triples.loc[first_of(triples, "train"), "speaker_id"] = triples["speaker_id"][first_of(triples, "test")]


def share_bad_room(tables, batches):
    triples = tables["triples"]
    triples.loc[first_of(triples, "train"), "bad_room"] = triples["bad_room"][first_of(triples, "validation")]


def share_room_between_pools(tables, batches):
    triples = tables["triples"]
    triples.loc[first_of(triples, "train"), "target_room"] = triples["bad_room"][first_of(triples, "test")]


def one_db_in_a_tenth(tables, batches):
    effects = tables["effects"]
    noise = effects.index[effects["name"] == "noise"]
    effects.loc[noise[: math.ceil(len(noise) / 10)], "achieved_snr_db"] += 1


def flip_batch(tables, batches):
    data = bytearray((batches / "batch_0002.npz").read_bytes())
    data[-5000] ^= 1
    (batches / "batch_0002.npz").write_bytes(data)


def lose_batch(tables, batches):
    (batches / "batch_0002.npz").unlink()


def lose_meta(tables, batches):
    (batches / "batch_0002_meta.json").unlink()


def flip_meta(tables, batches):
    data = bytearray((batches / "batch_0002_meta.json").read_bytes())
    data[-3] ^= 1
    (batches / "batch_0002_meta.json").write_bytes(data)


def slow_room(tables, batches):
    tables["rooms"].loc[3, "rt60_error"] = 0.06


def late_room(tables, batches):
    tables["rooms"].loc[3, "alignment_error"] = 1


def damage_voice(tables, batches):
    tables["voices"].loc[5, "sdr_after_db"] = 9.9


FAULTS = {
    share_speaker: ("shared_speakers", 1), share_bad_room: ("shared_rooms", 1),
    share_room_between_pools: ("shared_rooms", 1), one_db_in_a_tenth: ("snr_error_db", 1),
    flip_batch: ("hashes", 1), lose_batch: ("hashes", 1), lose_meta: ("hashes", 1), flip_meta: ("hashes", 1),
    slow_room: ("rt60_error", 0.06), late_room: ("alignment_error", 1), damage_voice: ("sdr_gain_db", -0.1),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_fails_its_gate_and_no_other(batches, manifest, tables, tmp_path, fault):
    folder = shutil.copytree(batches, tmp_path / "batches")
    fault(tables, folder)
    metrics = measured(folder, manifest, tables)
    gate, value = FAULTS[fault]
    assert failing(metrics) == {gate}
    assert judge(metrics, run_gates(LIMITS, metrics))[gate]["value"] == pytest.approx(value, abs=1e-3)


def test_one_db_in_few_noises_is_forgiven(batches, manifest, tables):
    tables["effects"] = pd.concat([tables["effects"]] * 10, ignore_index=True)
    noise = tables["effects"].index[tables["effects"]["name"] == "noise"]
    tables["effects"].loc[noise[: len(noise) // 25], "achieved_snr_db"] += 1
    assert failing(measured(batches, manifest, tables)) == set()


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


def test_the_manifest_hashes_every_file_of_every_part(small_run, batches, manifest):
    for part in ("irs", "embeddings", "vocals", "plan"):
        files = {path.name: path for path in (small_run / part).iterdir()}
        assert files and manifest["parts"][part] == {
            name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()
        }
    for entry in manifest["batches"]:
        for name, key in ((entry["file"], "sha256"), (f"batch_{entry['batch']:04d}_meta.json", "meta_sha256")):
            assert hashlib.sha256((batches / name).read_bytes()).hexdigest() == entry[key]
    assert manifest["plan_sha256"] == manifest["parts"]["plan"]["plan.parquet"]
    assert manifest["shapes"] == {
        "source_audio": {"dtype": "int16", "shape": [CLIP]}, "target_audio": {"dtype": "int16", "shape": [CLIP]},
        "target_clap": {"dtype": "float32", "shape": [512]},
    }  # fmt: skip
    assert (manifest["run_number"], manifest["sample_rate"], sum(manifest["splits"].values())) == (1, RATE, 20)
    folders = (*(small_run / part for part in manifest["parts"]), batches)
    assert manifest["size_bytes"] == sum(path.stat().st_size for folder in folders for path in folder.iterdir())


@pytest.mark.parametrize("fault", [flip_batch, lose_batch])
def test_a_damaged_batch_reaches_its_gate_by_name(small_run, batches, manifest, tables, tmp_path, fault):
    folder = shutil.copytree(batches, tmp_path / "batches")
    fault(None, folder)
    described = build_manifest(parts(small_run), folder, RATE)
    assert described | {"size_bytes": 0} == manifest | {"size_bytes": 0}
    metrics = measured(folder, described, tables)
    assert metrics["hashes"]["mismatched"] == ["batch_0002.npz"] and metrics["hashes"]["control_mismatched"] == 5
    verdicts = judge(metrics, run_gates(LIMITS, metrics))
    assert failing(metrics) == {"hashes"} and verdicts["hashes"]["value"] == 1
    assert mismatches(folder, described["batches"]) == [folder / "batch_0002.npz"]


@pytest.mark.parametrize("fault", [flip_meta, lose_meta])
def test_a_run_without_its_metadata_is_refused(small_run, batches, tmp_path, fault):
    folder = shutil.copytree(batches, tmp_path / "batches")
    fault(None, folder)
    with pytest.raises(FormatError, match=r"batch_0002_meta\.json.*as the checkpoint lists"):
        build_manifest(parts(small_run), folder, RATE)


def test_shapes_are_those_of_a_sound_batch(small_run, batches, manifest, tmp_path):
    folder = shutil.copytree(batches, tmp_path / "batches")
    (folder / "batch_0000.npz").write_bytes(b"damaged")
    assert build_manifest(parts(small_run), folder, RATE)["shapes"] == manifest["shapes"]
    for path in folder.glob("*.npz"):
        path.write_bytes(b"damaged")
    assert build_manifest(parts(small_run), folder, RATE)["shapes"] == {}


def test_batches_of_one_are_their_own_neighbours_and_have_no_control(batches, manifest, tables):
    one = manifest | {"batches": manifest["batches"][:1]}
    hashes = measured(batches, one, tables)["hashes"]
    assert hashes == {"n_files": 2, "n_mismatched": 0, "mismatched": [], "control_mismatched": None}
    swapped = [manifest["batches"][i] | {"sha256": manifest["batches"][1 - i]["sha256"]} for i in (0, 1)]
    hashes = measured(batches, manifest | {"batches": swapped}, tables)["hashes"]
    assert (hashes["n_mismatched"], hashes["control_mismatched"]) == (2, 0)


def test_batches_of_earlier_runs_are_not_looked_for(batches, manifest, tables):
    chained = manifest | {"run_number": 2, "batches": [*manifest["batches"][:3], manifest["batches"][3] | {"run": 2}]}
    assert own_batches(chained) == [manifest["batches"][3] | {"run": 2}]
    assert [meta["batch"] for meta in own_metas(batches, chained)] == [3]
    assert measured(batches, chained, tables)["hashes"]["n_files"] == 2


def test_the_closing_message_says_what_is_there_and_how_to_go_on(manifest, tmp_path):
    complete = closing_message(manifest, tmp_path)
    assert "COMPLETE: 20 triples in 5 batches" in complete and f"{tmp_path}/manifest.json" in complete
    halted = manifest | {"status": "halted", "run_number": 2, "batches": manifest["batches"][:3]}
    message = closing_message(halted | {"triples_completed": 12}, tmp_path)
    assert "HALTED by the budget after 3 of 5 batches (12 triples" in message and "COMPLETE" not in message
    assert "rooms.chain.previous_run=../run2" in message and "rooms.render.budget_gb" in message
    assert "ablation=chained_rooms rooms.chain.previous_run=" in message


def test_rejected_triples_are_counted_by_reason(small_run, tmp_path, monkeypatch):
    reasons = iter(["source: silent", None, "target: clipped", "source: silent"])
    monkeypatch.setenv("SOUNDGATE_WORKERS", "1")
    monkeypatch.setattr(rendering, "reject_reason", lambda *_: next(reasons, None))
    render(parts(small_run), tmp_path, SETTINGS)
    found = build_manifest(parts(small_run), tmp_path, RATE)
    assert found["n_rejected"] == 3
    assert rejections(tmp_path, found) == {"source: silent": 2, "target: clipped": 1}
    assert rejections(tmp_path, found | {"run_number": 2}) == {}


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


REJECTED = {"room: silent": 2, "voice: truncated": 1}


def test_the_plots_hold_the_counts(tables, tmp_path):
    triples, effects, rooms = (tables[name] for name in ("triples", "effects", "rooms"))
    write_plots(triples, effects, rooms, REJECTED, RATE, tmp_path)
    names = {"snr", "rt60", "effects", "durations", "rejects"}
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.csv" for name in names} | {"overview.png"}
    found = {name: pd.read_csv(tmp_path / f"{name}.csv") for name in names}
    snr = effects["achieved_snr_db"].dropna()
    assert found["snr"]["count"].sum() == len(snr)
    for edge, count in found["snr"].iloc[:-1].itertuples(index=False):
        assert count == ((snr >= edge) & (snr < edge + 2.5)).sum()
    durations = found["durations"].set_index("duration_s")["count"]
    assert durations[0.25] == (triples["valid_samples"] == 12_000).sum() and durations.sum() == 20
    assert durations[0.0] == (triples["valid_samples"] == 3_000).sum()
    assert found["effects"].set_index("effect")["count"].to_dict() == effects["name"].value_counts().to_dict()
    assert found["rt60"]["rt60_s"].is_monotonic_increasing and set(found["rt60"]["ir"]) == set(rooms["ir"])
    assert dict(found["rejects"].values.tolist()) == REJECTED
    assert (tmp_path / "overview.png").read_bytes().startswith(b"\x89PNG")
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_plots(triples, effects, rooms, REJECTED, RATE, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


@pytest.mark.parametrize("kept", ["no noise", "nothing"])
def test_plots_are_written_without_noise_and_rejects(tables, tmp_path, kept):
    effects = tables["effects"]
    effects = effects[effects["name"] != "noise"] if kept == "no noise" else effects.iloc[:0]
    write_plots(tables["triples"], effects, tables["rooms"], {}, RATE, tmp_path)
    assert not pd.read_csv(tmp_path / "snr.csv")["count"].any()
    assert pd.read_csv(tmp_path / "rejects.csv", keep_default_na=False).values.tolist() == [["none", 0]]
    assert pd.read_csv(tmp_path / "effects.csv")["count"].sum() == len(effects)
    assert (tmp_path / "overview.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_without_noise_fails_its_gate_rather_than_pass_unseen(batches, manifest, tables):
    tables["effects"] = tables["effects"][tables["effects"]["name"] != "noise"]
    metrics = measured(batches, manifest, tables)
    assert metrics["snr"] == {"error_db": {"value": None, "ci": [None, None], "n": 0}, "control_error_db": None}
    assert failing(metrics) == {"snr_error_db"}
