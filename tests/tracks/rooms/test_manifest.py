import hashlib
import shutil

import pytest

from soundgate.evaluation.gates import judge
from soundgate.runtime.errors import FormatError
from soundgate.tracks.rooms import rendering
from soundgate.tracks.rooms.batches import own_batches, own_metas
from soundgate.tracks.rooms.manifest import build_manifest, closing_message, mismatches
from soundgate.tracks.rooms.measures import rejections, run_gates
from soundgate.tracks.rooms.rendering import render

from .conftest import CLIP, RATE, SETTINGS, parts
from .run_faults import LIMITS, failing, flip_batch, flip_meta, lose_batch, lose_meta, measured


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
    assert metrics["hashes"]["mismatched"] == ["batch_0002.npz"] and metrics["hashes"]["control_mismatched"] == 6
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
    assert "COMPLETE: 20 triples in 6 batches" in complete and f"{tmp_path}/manifest.json" in complete
    halted = manifest | {"status": "halted", "run_number": 2, "batches": manifest["batches"][:3]}
    message = closing_message(halted | {"triples_completed": 12}, tmp_path)
    assert "HALTED by the budget after 3 of 6 batches (12 triples" in message and "COMPLETE" not in message
    assert "rooms.chain.previous_run=../run2" in message and "rooms.render.budget_gb" in message
    assert "ablation=chained_rooms rooms.chain.previous_run=" in message


def test_rejected_triples_are_counted_by_reason(small_run, tmp_path, monkeypatch):
    reasons = iter(["source: silent", None, "target: clipped", "source: silent"])
    monkeypatch.setattr(rendering, "reject_reason", lambda *_: next(reasons, None))
    render(parts(small_run), tmp_path, SETTINGS)
    found = build_manifest(parts(small_run), tmp_path, RATE)
    assert found["n_rejected"] == 3
    assert rejections(tmp_path, found) == {"source: silent": 2, "target: clipped": 1}
    assert rejections(tmp_path, found | {"run_number": 2}) == {}
