"""The stages of the track, run with the commands of dvc.yaml in a folder of their own."""

import importlib
import io
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from soundgate.audio.io import write_audio
from soundgate.pipeline.compose import compose_text
from soundgate.runtime.console import logger
from soundgate.runtime.files import read_json, sha256_of
from soundgate.tracks.rooms import rendering
from soundgate.tracks.rooms.batches import batch_bytes
from soundgate.tracks.rooms.chain import file_hashes
from soundgate.tracks.rooms.dataset import TripleDataset
from soundgate.tracks.rooms.rendering import META_BYTES
from tests.pipeline_file import ROOT, stage_entries, stage_module

RATE, CLIP = 48_000, 12_000
RUN = Path("data/tiny/rooms")
POOLS = ("bad", "target")
MAKING = (
    "rooms-irs", "rooms-embed", "rooms-sterilise", "rooms-plan", "rooms-render", "rooms-manifest", "rooms-probe",
)  # fmt: skip
JUDGING = ("rooms-outside",)
SMALL = (
    "profile=tiny", "rooms.embed.probe_duration_s=0.2",
    f"rooms.sterilise.clip_samples={CLIP}", "rooms.sterilise.reduce_noise=false",
    "rooms.sterilise.min_duration_s=0.1", "rooms.sterilise.budget_gb=1",
    "rooms.plan.n_triples=12", "rooms.plan.triples_per_batch=3", "rooms.render.quality.max_clipped_share=0.5",
)  # fmt: skip
OWN_MATERIAL = (
    "corpus.rooms.pools=[{name:bad,source:folder,origin:material/bad,seed:0},"
    "{name:target,source:folder,origin:material/target,seed:0}]",
    "corpus.voices.sources=[{name:mine,source:folder,origin:material/voices,seed:0}]",
)
# What any sound run passes, few and short as its voices and rooms may be.
SOUND = {
    "hashes",
    "shared_speakers",
    "shared_rooms",
    "stored_snr_error_db",
    "stored_t60_error",
    "stored_alignment_error",
}
NO_MATERIAL = ("ablation=chained_rooms",)


def material(folder):
    for pool, first in zip(POOLS, (0, 10), strict=True):
        for number in range(3):
            generator = np.random.default_rng(first + number)
            decay = 10 ** (-3 * np.arange(RATE // 8) / ((0.06 + 0.02 * number) * RATE))
            ir = 0.2 * generator.standard_normal(RATE // 8) * decay
            ir[0] = 1
            write_audio(folder / pool / f"{pool}{number}.wav", 0.5 * ir, RATE, "FLOAT")
    for speaker in range(3):
        for number in range(2):
            generator = np.random.default_rng(100 + 2 * speaker + number)
            wav = 0.1 * generator.standard_normal(CLIP + 3_000) * (1 + np.sin(np.arange(CLIP + 3_000) / 900))
            write_audio(folder / "voices" / f"s{speaker}" / f"u{speaker}{number}.wav", wav, RATE)


def prepare(folder, *overrides):
    """Make a folder look like the repository, with parameters of its own."""
    folder.mkdir(exist_ok=True)
    for name in ("src", "stages", "sources"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    (folder / "params.yaml").write_text(compose_text([*SMALL, *overrides], ROOT / "conf"))
    return folder


def arguments(stage, **item):
    text = stage_entries()[stage]["cmd"]
    for key, value in {"p": "tiny", "embedder": "acoustic", **item}.items():
        text = text.replace(f"${{item.{key}}}", value)
    return text.split()[3:]


def run(stage, exit_code=0, **item):
    """Run a stage here; return what it logged where it succeeds, else the lines it ended with."""
    main, log = importlib.import_module(stage_module(stage)).main, io.StringIO()
    handler = logging.StreamHandler(log)
    logger.addHandler(handler)
    try:
        done = CliRunner().invoke(main, arguments(stage, **item), catch_exceptions=False)
    finally:
        logger.removeHandler(handler)
    assert done.exit_code == exit_code, done.output
    return done.output.strip().splitlines() if exit_code else log.getvalue()


def acquire(pool_origin, voices, voices_origin):
    for pool in POOLS:
        run("corpus-rooms", **{"pool.name": pool, "pool.origin": pool_origin.format(pool)})
    run("corpus-voices", **{"voices.name": voices, "voices.origin": voices_origin})


def acquire_own():
    acquire("material/{}", "mine", "material/voices")


def acquire_nothing():
    acquire("sources/none.yaml", "none", "sources/none.yaml")


def hashes(folder):
    """Return the hashes of a folder's batches, by file; the checkpoint names the run and the budget as well."""
    return {name: value for name, value in file_hashes(folder).items() if name.startswith("batch_")}


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        patch.delenv("SOUNDGATE_SCRATCH", raising=False)
        yield patch


@pytest.fixture(scope="module")
def finished(tmp_path_factory, patch):
    """A folder in which every stage ran once; tests work in copies."""
    folder = prepare(tmp_path_factory.mktemp("finished"), *OWN_MATERIAL)
    material(folder / "material")
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        acquire_own()
        for stage in MAKING:
            run(stage)
    return folder


@pytest.fixture
def place(finished, tmp_path, monkeypatch):
    """A copy of the finished folder, with its scratch, as the working directory."""
    folder = shutil.copytree(finished, tmp_path / "place", symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def test_the_stages_make_a_complete_run(finished):
    manifest, metrics = read_json(finished / RUN / "manifest.json"), finished / "metrics/tiny/rooms"
    assert (manifest["status"], manifest["run_number"], manifest["n_batches"]) == ("complete", 1, 6)
    assert manifest["triples_completed"] == 12 and set(manifest["splits"]) == {"train", "validation", "test"}
    for part in ("irs", "embeddings", "vocals", "plan"):
        assert manifest["parts"][part] == file_hashes(finished / RUN / part)
    found = hashes(finished / RUN / "batches")
    assert {entry["file"]: entry["sha256"] for entry in manifest["batches"]}.items() <= found.items()
    gates = read_json(metrics / "run/gates.json")
    assert {name for name, gate in gates.items() if gate["verdict"] == "pass"} >= SOUND
    assert read_json(metrics / "metrics.json")["counts"]["n_triples"] == 12
    assert (finished / "plots/tiny/rooms/overview.png").is_file()
    assert len(TripleDataset(finished / RUN)) == 12


def test_an_outside_judge_judges_nothing_where_clips_are_too_short_or_recordings_are_elsewhere(
    finished, place, tmp_path, monkeypatch
):
    def judged():
        run("rooms-outside")
        gates = read_json("metrics/tiny/rooms/run/outside/gates.json")
        assert len(gates) == 2 and all("deaf" in gate and gate["verdict"] == "undecided" for gate in gates.values())
        return {kind: own["found"] for kind, own in read_json("metrics/tiny/rooms/outside.json")["recordings"].items()}

    assert sum(judged().values()) == 6
    monkeypatch.chdir(prepare(tmp_path / "second", *NO_MATERIAL, f"rooms.chain.previous_run={finished / RUN}"))
    acquire_nothing()
    run("rooms-sterilise")
    assert judged() == {"noisy": 0, "clean": 0}


def test_what_was_rendered_is_not_rendered_again(place, monkeypatch):
    def refuse(*_):
        raise AssertionError("rendered again")

    monkeypatch.setattr(rendering, "_render_batch", refuse)
    (result,) = Path("scratch/rooms-render").glob("*/result")
    times = {path.name: path.stat().st_mtime_ns for path in result.glob("batch_*")}
    before = hashes(RUN / "batches")
    shutil.rmtree(RUN / "batches")
    run("rooms-render")
    assert hashes(RUN / "batches") == before and len(times) == 12
    assert {path.name: path.stat().st_mtime_ns for path in result.glob("batch_*")} == times
    prepare(place, *OWN_MATERIAL, "rooms.render.budget_gb=2")
    run("rooms-render")
    prepare(place, *OWN_MATERIAL, "rooms.render.quality.min_rms=0.0002")
    with pytest.raises(AssertionError, match="rendered again"):
        run("rooms-render")


def test_only_the_damaged_batch_is_rendered_again(place):
    (result,) = Path("scratch/rooms-render").glob("*/result")
    before = hashes(RUN / "batches")
    shutil.rmtree(RUN / "batches")
    (result / "batch_0002.npz").write_bytes(b"damaged")
    untouched = (result / "batch_0001.npz").stat().st_mtime_ns
    run("rooms-render")
    assert hashes(RUN / "batches") == before
    assert (result / "batch_0001.npz").stat().st_mtime_ns == untouched


def test_a_damaged_batch_fails_the_gate_of_the_hashes(place):
    path = RUN / "batches/batch_0001.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)
    before = read_json(RUN / "manifest.json")
    assert "damaged: batch_0001.npz." in run("rooms-manifest")
    gates, metrics = (read_json(f"metrics/tiny/rooms/{name}.json") for name in ("run/gates", "metrics"))
    assert {name for name in SOUND if gates[name]["verdict"] != "pass"} == {"hashes"}
    assert gates["hashes"]["value"] == 1
    assert metrics["hashes"] == {
        "n_files": 12, "n_mismatched": 1, "mismatched": ["batch_0001.npz"], "control_mismatched": 6,
    }  # fmt: skip
    assert read_json(RUN / "manifest.json") == before


def test_a_second_run_in_the_same_scratch_ends_in_one_line(place, monkeypatch):
    stage, others = importlib.import_module("stages.rooms.render"), []
    render = stage.render

    def render_beside_another(*arguments_of_render):
        command = [sys.executable, "-m", "stages.rooms.render", *arguments("rooms-render")]
        others.append(subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ)))
        return render(*arguments_of_render)

    before = hashes(RUN / "batches")
    monkeypatch.setattr(stage, "render", render_beside_another)
    run("rooms-render")
    (other,) = others
    (line,) = other.stderr.strip().splitlines()
    assert other.returncode == 1 and line.startswith("FormatError: ") and "a folder nobody works in" in line
    assert "SOUNDGATE_SCRATCH" in line and hashes(RUN / "batches") == before
    monkeypatch.setattr(stage, "render", render)
    run("rooms-render")


def budget_for(n_batches):
    """Return a budget in GB that holds so many batches and not one more."""
    checkpoint = 2_000
    return (checkpoint + n_batches * (batch_bytes(3, CLIP, 512) + 4 * META_BYTES)) / 1e9


@pytest.fixture
def halted(place):
    """The folder of a run that its budget halted after two of six batches."""
    prepare(place, *OWN_MATERIAL, f"rooms.render.budget_gb={budget_for(2):.9f}")
    shutil.rmtree(RUN / "batches")
    shutil.rmtree("scratch/rooms-render")
    run("rooms-render")
    assert "HALTED by the budget after 2 of 6 batches" in run("rooms-manifest")
    assert read_json(RUN / "manifest.json")["status"] == "halted"
    return place / RUN


def go_on(folder, previous, monkeypatch, *overrides):
    """Make a run in a new folder without material from all that an earlier one made; return manifest and log."""
    prepare(folder, *NO_MATERIAL, f"rooms.chain.previous_run={previous}", *overrides)
    monkeypatch.chdir(folder)
    acquire_nothing()
    log = "".join(run(stage) for stage in MAKING)
    return read_json(RUN / "manifest.json"), log


def test_a_halted_run_is_gone_on_with_elsewhere_and_ends_with_the_same_hashes(finished, halted, tmp_path, monkeypatch):
    one, two = hashes(halted / "batches"), tmp_path / "second"
    manifest, log = go_on(two, halted, monkeypatch)
    assert "COMPLETE: 12 triples" in log
    assert (manifest["status"], manifest["run_number"]) == ("complete", 2)
    assert [entry["run"] for entry in manifest["batches"]] == [1, 1, 2, 2, 2, 2]
    assert len(one) == 4 and one | hashes(two / RUN / "batches") == hashes(finished / RUN / "batches")
    assert not one.keys() & hashes(two / RUN / "batches").keys()
    assert manifest["parts"] == read_json(finished / RUN / "manifest.json")["parts"]
    assert len(TripleDataset([halted, two / RUN])) == 12
    gates = read_json("metrics/tiny/rooms/run/gates.json")
    assert "fail" not in {gates[name]["verdict"] for name in SOUND}  # Half as many triples may decide less.
    assert list(Path("data/tiny/irs").rglob("*.wav")) == []


def test_a_changed_previous_run_stops_the_chain(halted, tmp_path, monkeypatch):
    catalogue = halted / "irs/ir_catalogue.json"
    catalogue.write_text(catalogue.read_text() + " ")
    prepare(tmp_path / "second", *NO_MATERIAL, f"rooms.chain.previous_run={halted}")
    monkeypatch.chdir(tmp_path / "second")
    acquire_nothing()
    (line,) = run("rooms-irs", exit_code=1)
    assert line.startswith("FormatError: ") and "ir_catalogue.json" in line


def test_going_on_from_a_complete_run_adds_nothing(finished, tmp_path, monkeypatch):
    manifest, log = go_on(tmp_path / "second", finished / RUN, monkeypatch)
    assert "COMPLETE: 12 triples" in log and {entry["run"] for entry in manifest["batches"]} == {1}
    assert hashes(RUN / "batches") == {} and manifest["run_number"] == 2


def test_a_budget_for_no_batch_at_all_halts(place):
    prepare(place, *OWN_MATERIAL, f"rooms.render.budget_gb={budget_for(0):.9f}")
    shutil.rmtree(RUN / "batches")
    shutil.rmtree("scratch/rooms-render")
    run("rooms-render")
    assert "HALTED by the budget after 0 of 6 batches" in run("rooms-manifest")


@pytest.mark.parametrize("chain", ["rooms.chain.reuse=[]", "rooms.chain.previous_run=null"])
def test_nothing_acquired_and_nothing_reused_is_a_clear_error(chain, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.delenv("SOUNDGATE_SCRATCH", raising=False)
    monkeypatch.chdir(prepare(tmp_path / "place", *NO_MATERIAL, chain))
    acquire_nothing()
    for stage, corpus in (("rooms-irs", "irs/bad"), ("rooms-sterilise", "voices/none")):
        (line,) = run(stage, exit_code=1)
        assert line.startswith("CorpusError: ") and corpus in line


def test_the_commands_of_the_stages_are_those_of_the_pipeline(finished):
    assert {*MAKING, *JUDGING} == {stage for stage in stage_entries() if stage.startswith("rooms-")}
    plan = pd.read_parquet(finished / RUN / "plan/plan.parquet")
    assert read_json(finished / RUN / "manifest.json")["plan_sha256"] == sha256_of(finished / RUN / "plan/plan.parquet")
    assert len(plan[~plan["spare"]]) == 12
