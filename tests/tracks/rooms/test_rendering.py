import errno
import json
import os
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from soundgate.pipeline.compose import compose_text
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import read_json, sha256_of
from soundgate.tracks.rooms import rendering
from soundgate.tracks.rooms.batches import batch_bytes, open_batch
from soundgate.tracks.rooms.chain import ChainSettings, earlier_batches, reuse_part
from soundgate.tracks.rooms.dataset import TripleDataset
from soundgate.tracks.rooms.manifest import build_manifest, closing_message
from soundgate.tracks.rooms.quality import QualitySettings
from soundgate.tracks.rooms.rendering import META_BYTES, RenderSettings, render
from tests.killing import Killer
from tests.pipeline_file import ROOT

from .conftest import CLIP, RATE, parts

LIMITS = QualitySettings(min_rms=1e-4, max_clipped_share=0.5)


def level(triple):
    """Peak of a source as its effects want it."""
    return next((10 ** (e["level_dbfs"] / 20) for e in triple["effects"] if e["name"] == "gain"), 10 ** (-6 / 20))


def settings(budget_gb=1.0, **limits):
    return RenderSettings(budget_gb=budget_gb, quality=LIMITS.model_copy(update=limits))


def content(folder, without=()):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name not in without}


@pytest.fixture(scope="module")
def whole(small_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    render(parts(small_run), out, settings())
    return out


def test_the_checkpoint_tells_what_is_there(small_run, whole):
    checkpoint = read_json(whole / "checkpoint.json")
    assert (checkpoint["status"], checkpoint["n_batches"], checkpoint["triples_completed"]) == ("complete", 6, 20)
    assert checkpoint["size_bytes"] == sum(file.stat().st_size for file in whole.glob("batch_*"))


def test_a_batch_holds_what_the_plan_says(small_run, whole):
    plan = pd.read_parquet(small_run / "plan/plan.parquet").set_index("item")
    embeddings = dict(np.load(small_run / "embeddings/clap_cache.npz"))
    for batch in range(6):
        arrays, meta = open_batch(whole / f"batch_{batch:04d}.npz"), read_json(whole / f"batch_{batch:04d}_meta.json")
        assert arrays["source_audio"].shape == (len(meta["triples"]), CLIP)
        for row, triple in enumerate(meta["triples"]):
            planned = plan.loc[triple["item"]]
            assert triple["target_ir"] == planned["target_ir"] and triple["wet"] == planned["wet"]
            assert [e["name"] for e in triple["effects"]] == [e["name"] for e in json.loads(planned["effects"])]
            np.testing.assert_array_equal(arrays["target_clap"][row], embeddings[triple["target_ir"]])
            assert np.abs(arrays["target_audio"][row]).max() == 32767
            assert np.abs(arrays["source_audio"][row]).max() == pytest.approx(32767 * level(triple), abs=1)


@pytest.mark.slow
def test_workers_do_not_change_a_byte(small_run, whole, tmp_path, monkeypatch):
    monkeypatch.setenv("SOUNDGATE_WORKERS", "2")
    render(parts(small_run), tmp_path / "two", settings())
    assert content(tmp_path / "two") == content(whole)


def test_a_rejected_triple_is_counted_and_replaced_by_a_spare(small_run, tmp_path, monkeypatch):
    seen = []

    def reject_first_of_batch(source, target, limits):
        seen.append(1)
        return "source: silent" if len(seen) == 1 else None

    monkeypatch.setattr(rendering, "reject_reason", reject_first_of_batch)
    checkpoint = render(parts(small_run), tmp_path / "out", settings())
    assert checkpoint["triples_completed"] == 20 and checkpoint["batches"][0]["n_rejected"] == 1
    meta = read_json(tmp_path / "out/batch_0000_meta.json")
    plan = pd.read_parquet(small_run / "plan/plan.parquet")
    first_spare = plan[(plan["batch"] == 0) & plan["spare"]]["item"].iloc[0]
    assert meta["rejected"] == [{"item": plan["item"].iloc[0], "reason": "source: silent"}]
    assert [triple["item"] for triple in meta["triples"]][-1] == first_spare


def test_a_batch_without_spares_left_is_short(small_run, tmp_path):
    checkpoint = render(parts(small_run), tmp_path / "out", settings(min_rms=2.0))
    assert checkpoint["status"] == "complete" and checkpoint["triples_completed"] == 0
    assert open_batch(tmp_path / "out/batch_0000.npz")["source_audio"].shape == (0, CLIP)


def budget_for(n_batches):
    checkpoint = 2000
    return (checkpoint + n_batches * (batch_bytes(4, CLIP, 512) + 5 * META_BYTES)) / 1e9


@pytest.mark.parametrize("n_batches", [0, 1, 3])
def test_the_budget_halts_before_it_is_exceeded_and_a_larger_one_goes_on(small_run, whole, tmp_path, n_batches):
    budget_gb = budget_for(n_batches)
    halted = render(parts(small_run), tmp_path / "out", settings(budget_gb))
    assert (halted["status"], halted["next_batch"]) == ("halted", n_batches)
    assert halted["size_bytes"] <= budget_gb * 1e9
    render(parts(small_run), tmp_path / "out", settings())
    assert content(tmp_path / "out") == content(whole)


@pytest.mark.parametrize(
    "damage", ["batch flipped", "batch gone", "meta cut", "meta gone", "checkpoint cut", "partial"]
)
def test_what_is_damaged_is_made_again_and_nothing_else(small_run, whole, tmp_path, damage):
    out = shutil.copytree(whole, tmp_path / "out")
    untouched = (out / "batch_0003.npz").stat().st_mtime_ns
    batch, meta, checkpoint = out / "batch_0001.npz", out / "batch_0001_meta.json", out / "checkpoint.json"
    if damage == "batch flipped":
        data = bytearray(batch.read_bytes())
        data[5000] ^= 1
        batch.write_bytes(data)
    elif damage == "batch gone":
        batch.unlink()
    elif damage == "meta cut":
        meta.write_bytes(meta.read_bytes()[:100])
    elif damage == "meta gone":
        meta.unlink()
    elif damage == "checkpoint cut":
        checkpoint.write_bytes(checkpoint.read_bytes()[:50])
    else:
        (out / ".batch_0004.npz.partial").write_bytes(b"half")
    render(parts(small_run), out, settings())
    assert content(out) == content(whole)
    assert (out / "batch_0003.npz").stat().st_mtime_ns == untouched


def test_a_full_disk_is_a_clear_error_and_keeps_what_was_finished(small_run, whole, tmp_path, monkeypatch):
    write = rendering.write_batch

    def full_after_two(path, *arrays):
        if "0002" in path.name:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, *arrays)

    with monkeypatch.context() as patch:
        patch.setattr(rendering, "write_batch", full_after_two)
        with pytest.raises(FormatError, match="No space left.*finished batches are kept"):
            render(parts(small_run), tmp_path / "out", settings())
    assert read_json(tmp_path / "out/checkpoint.json")["next_batch"] == 2
    render(parts(small_run), tmp_path / "out", settings())
    assert content(tmp_path / "out") == content(whole)


@pytest.mark.parametrize("part, name", [("irs", "irs.npy"), ("vocals", "shard_0000.npy")])
def test_a_part_that_changed_is_refused(small_run, tmp_path, part, name):
    copy = shutil.copytree(small_run, tmp_path / "run")
    data = bytearray((copy / part / name).read_bytes())
    data[-100] ^= 1
    (copy / part / name).write_bytes(data)
    with pytest.raises(FormatError, match=name):
        render(parts(copy), tmp_path / "out", settings())


def render_alone(run, out):
    os.environ["SOUNDGATE_WORKERS"] = "1"
    render(parts(run), out, settings())


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes(small_run, whole, tmp_path):
    finished, seen = 0, []
    killer = Killer(lambda: len(list((tmp_path / f"out{finished}").glob("batch_*_meta.json"))), most=3)
    # Until a kill has fallen after every number of batches that leaves some to do; how many that takes is chance.
    while len(seen) < 20 or not finished or not set(range(5)) <= set(seen):
        before = killer.progress()
        if killer.attempt(render_alone, small_run, tmp_path / f"out{finished}"):
            assert content(tmp_path / f"out{finished}") == content(whole)
            finished += 1
        else:
            seen.append(killer.progress())
            assert seen[-1] >= before, "a batch was lost"
    print(f"{finished} finished; batches committed at each kill: {seen}")


def finished_run(small_run, folder, run_settings, earlier=(), run_number=1):
    for part in ("irs", "embeddings", "vocals", "plan"):
        shutil.copytree(small_run / part, folder / part)
    render(parts(folder), folder / "batches", run_settings, list(earlier), run_number)
    manifest = build_manifest(parts(folder), folder / "batches", RATE)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return manifest


@pytest.fixture
def chained(small_run, tmp_path):
    first = finished_run(small_run, tmp_path / "run1", settings(budget_for(2)))
    assert first["status"] == "halted"
    chain = ChainSettings(previous_run=str(tmp_path / "run1"), reuse=("triples",))
    earlier, number = earlier_batches(chain, first["plan_sha256"])
    second = finished_run(small_run, tmp_path / "run2", settings(), earlier, number)
    return first, second, tmp_path


def test_a_chained_run_ends_with_the_hashes_of_an_uninterrupted_one(chained, whole):
    first, second, _ = chained
    uninterrupted = read_json(whole / "checkpoint.json")["batches"]
    assert [e["run"] for e in second["batches"]] == [1, 1, 2, 2, 2, 2] and second["run_number"] == 2
    for key in ("sha256", "meta_sha256"):
        assert [e[key] for e in second["batches"]] == [e[key] for e in uninterrupted]
    assert second["status"] == "complete" and second["triples_completed"] == 20
    assert "COMPLETE: 20 triples" in closing_message(second, "x") and "HALTED" in closing_message(first, "x")


def test_the_data_set_reads_a_chain_and_only_a_whole_one(chained, small_run, whole):
    _, _, folder = chained
    data = TripleDataset([folder / "run2", folder / "run1"])
    assert len(data) == 20
    splits = [
        len(TripleDataset([folder / "run1", folder / "run2"], split)) for split in ("train", "validation", "test")
    ]
    assert sum(splits) == 20 and min(splits) > 0
    assert all(data.describe(i)["split"] in ("train", "validation", "test") for i in range(20))
    stored = open_batch(whole / "batch_0001.npz")
    np.testing.assert_allclose(data[4]["source"].numpy()[0] * 32767, stored["source_audio"][0], atol=1e-3)
    np.testing.assert_array_equal(data[4]["embedding"].numpy(), stored["target_clap"][0])
    assert data[4]["target"].shape == (1, CLIP) and data[4]["target"].abs().max() == 1
    with pytest.raises(FormatError, match="run 1"):
        TripleDataset(folder / "run2")


def test_the_data_set_refuses_a_damaged_batch_unless_told_not_to_look(chained):
    _, _, folder = chained
    path = folder / "run1/batches/batch_0000.npz"
    data = bytearray(path.read_bytes())
    data[-9000] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"batch_0000\.npz"):
        TripleDataset([folder / "run1", folder / "run2"])[0]
    assert TripleDataset([folder / "run1", folder / "run2"], verify=False)[0]["source"].shape == (1, CLIP)


def test_the_data_set_travels_to_workers_without_its_samples(chained):
    _, _, folder = chained
    data = TripleDataset([folder / "run1", folder / "run2"])
    first = data[0]
    packed = pickle.dumps(data)
    assert len(packed) < 100_000
    again = pickle.loads(packed)[0]
    assert torch.equal(first["source"], again["source"]) and 0 < again["valid_samples"] <= CLIP
    assert again["source_gain"] == data.describe(0)["source_gain"] > 0


def test_a_chain_of_scaled_runs_makes_every_triple_once_and_ends_complete(small_run, whole, tmp_path):
    """Each run can pay for two batches; what it reuses is counted in none of them."""
    previous, earlier, number = None, [], 1
    for number in (1, 2, 3):
        if previous is not None:
            chain = ChainSettings(previous_run=str(previous), reuse=("triples",))
            earlier, number = earlier_batches(chain, sha256_of(small_run / "plan/plan.parquet"))
        previous = tmp_path / f"run{number}"
        last = finished_run(small_run, previous, settings(budget_for(2)), earlier, number)
    assert last["status"] == "complete" and [entry["run"] for entry in last["batches"]] == [1, 1, 2, 2, 3, 3]
    items = [
        triple["item"]
        for entry in last["batches"]
        for triple in read_json(tmp_path / f"run{entry['run']}/batches/batch_{entry['batch']:04d}_meta.json")["triples"]
    ]
    assert sorted(items) == list(range(20))
    wanted = read_json(whole / "checkpoint.json")["batches"]
    assert [entry["sha256"] for entry in last["batches"]] == [entry["sha256"] for entry in wanted]


def test_published_corpora_fit_the_default_budgets_with_ten_thousand_triples():
    """LJSpeech and VCTK give some 57,000 clips of at most 5 s, from 13,100 and 44,000 files."""
    full = OmegaConf.create(compose_text(["profile=full"], ROOT / "conf")).rooms
    assert 57_000 * 2 * full.sterilise.clip_samples <= full.sterilise.budget_gb * 1e9
    one = batch_bytes(1, full.sterilise.clip_samples, 512) + META_BYTES
    assert full.render.budget_gb == 19 and full.render.budget_gb * 1e9 / one >= 10_000


def test_a_changed_batch_of_the_previous_run_stops_the_chain(chained):
    first, _, folder = chained
    (folder / "run1/batches/batch_0001.npz").unlink()
    chain = ChainSettings(previous_run=str(folder / "run1"), reuse=("triples",))
    with pytest.raises(FormatError, match=r"batch_0001\.npz"):
        earlier_batches(chain, first["plan_sha256"])


def test_another_plan_cannot_be_gone_on_with(chained):
    _, _, folder = chained
    with pytest.raises(FormatError, match="batches of the plan"):
        earlier_batches(ChainSettings(previous_run=str(folder / "run1"), reuse=("triples",)), "0" * 64)


def test_without_triples_nothing_stands_but_the_run_is_counted(chained):
    first, _, folder = chained
    chain = ChainSettings(previous_run=str(folder / "run1"), reuse=("vocals",))
    assert earlier_batches(chain, first["plan_sha256"]) == ([], 2)
    assert earlier_batches(ChainSettings(previous_run=None, reuse=()), "x") == ([], 1)


@pytest.mark.parametrize(
    "part, folder_name", [("catalogue", "irs"), ("embeddings", "embeddings"), ("vocals", "vocals")]
)
def test_a_part_is_taken_over_only_with_the_hashes_it_had(chained, part, folder_name):
    _, _, folder = chained
    chain = ChainSettings(previous_run=str(folder / "run1"), reuse=(part,))
    assert reuse_part(chain, part, folder / "new") and content(folder / "new") == content(folder / "run1" / folder_name)
    assert not reuse_part(chain.model_copy(update={"reuse": ()}), part, folder / "other")
    victim = sorted((folder / "run1" / folder_name).iterdir())[0]
    victim.write_bytes(victim.read_bytes() + b" ")
    with pytest.raises(FormatError, match="not reuse this part"):
        reuse_part(chain, part, folder / "again")


def test_a_previous_run_must_have_a_manifest(tmp_path):
    with pytest.raises(FormatError, match=r"manifest\.json"):
        earlier_batches(ChainSettings(previous_run=str(tmp_path), reuse=("triples",)), "x")
