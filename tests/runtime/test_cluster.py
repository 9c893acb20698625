"""Work on a Dask cluster of two worker processes: the same bytes as here, whatever happens to a worker."""

import os
import shutil
import sys
import threading
from functools import partial
from itertools import count

import psutil
import pytest
import torch
import yaml

from soundgate.codecs.registry import load_codec
from soundgate.pipeline.reproduce import stage_environment
from soundgate.runtime.execution import map_items
from soundgate.tracks.editor.caching import build_cache
from soundgate.tracks.editor.pairs.table import read_pairs
from soundgate.tracks.editor.recovery.table import read_labels
from soundgate.tracks.rooms.rendering import render
from tests.cluster_items import draw, wait_for
from tests.codecs.test_extraction import content, extract_short, noise_corpus
from tests.dask_cluster import dask_cluster
from tests.pipeline.repository import dvc_here, make_repository, stage
from tests.pipeline_file import ROOT
from tests.tracks.editor import test_cache as editor
from tests.tracks.rooms import conftest as rooms
from tests.waiting import wait_until

small_run, pairs = rooms.small_run, editor.pairs
_NUMBERS = count()


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The folder that stages and workers start in."""
    return tmp_path_factory.mktemp("tree")


@pytest.fixture(scope="module")
def running(tree, tmp_path_factory):
    """A scheduler and two workers; at the end none of them is left."""
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with dask_cluster(tree, tmp_path_factory.mktemp("logs"), n_workers=2) as cluster:
        started = [cluster._scheduler.pid, *(process.pid for process in cluster.workers.values())]
        yield cluster
    after = {process.pid for process in psutil.Process().children(recursive=True)} - before
    assert not after & set(started) and not any(psutil.pid_exists(pid) for pid in started)


@pytest.fixture
def cluster(running, tree, monkeypatch):
    """The cluster with two workers, in its folder; where a test killed one, another has come."""
    while len(running.workers) < 2:
        running.start_worker(f"later-{next(_NUMBERS)}")
    running.wait_for_workers()
    monkeypatch.chdir(tree)
    monkeypatch.setenv("SOUNDGATE_CLUSTER", running.address)
    return running


@pytest.fixture(scope="module")
def rendered_here(small_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SOUNDGATE_CLUSTER", raising=False)
        render(rooms.parts(small_run), out, rooms.SETTINGS)
    return content(out)


def test_a_render_of_rooms_gives_the_same_bytes(cluster, small_run, rendered_here, tmp_path):
    before = cluster.transitions()
    render(rooms.parts(small_run), tmp_path / "out", rooms.SETTINGS)
    assert cluster.transitions() > before
    assert content(tmp_path / "out") == rendered_here and len(rendered_here) == 13


def test_a_cache_of_edits_gives_the_same_bytes(cluster, pairs, tmp_path, monkeypatch):
    # The export would track beats, for which every process compiles seconds of numba.
    settings = editor.SETTINGS.model_copy(update={"export": False})
    table, labels = read_pairs(pairs), read_labels(pairs)
    counts = build_cache(settings, table, labels, tmp_path / "work", tmp_path / "there")
    monkeypatch.delenv("SOUNDGATE_CLUSTER")
    assert build_cache(settings, table, labels, tmp_path / "work2", tmp_path / "here") == counts
    assert content(tmp_path / "there") == content(tmp_path / "here")
    assert content(tmp_path / "work") == content(tmp_path / "work2")


def extract_gain_shape(index, folder):
    """Extract latents on one thread."""
    extract_short(index, folder, load_codec("gain_shape", {"frame_rate": 75}), device=torch.device("cpu"), workers=1)
    return os.getpid()


def test_an_extraction_of_latents_gives_the_same_bytes(cluster, tmp_path):
    index = noise_corpus(tmp_path, 3, sample_rate=16_000, longest_s=0.24)
    # Both workers extract, each all of it: batches themselves are encoded by threads of one process.
    there = [tmp_path / "there0", tmp_path / "there1"]
    pids = set(map_items(partial(extract_gain_shape, index), there, "Extractions"))
    assert os.getpid() not in pids
    extract_gain_shape(index, tmp_path / "here")
    assert content(there[0]) == content(there[1]) == content(tmp_path / "here")


def test_extraction_asks_no_cluster_for_its_batches(tmp_path, monkeypatch):
    index = noise_corpus(tmp_path, 3, sample_rate=16_000, longest_s=0.24)
    extract_gain_shape(index, tmp_path / "without")
    monkeypatch.setenv("SOUNDGATE_CLUSTER", "tcp://127.0.0.1:1")
    extract_gain_shape(index, tmp_path / "with")
    assert content(tmp_path / "with") == content(tmp_path / "without")


def test_a_worker_killed_in_the_middle_of_a_render_changes_no_byte(cluster, small_run, rendered_here, tmp_path):
    """The worker is stopped first, so that it is killed with batches in its hands, however fast the other one is."""
    victim, out = next(iter(cluster.workers)), tmp_path / "out"
    cluster.stop(victim)

    def kill_it():
        wait_until(lambda: cluster.holds_items(victim) and list(out.glob("*batch_*")), "batches on both workers")
        cluster.kill(victim)

    killer = threading.Thread(target=kill_it, daemon=True)
    killer.start()
    render(rooms.parts(small_run), out, rooms.SETTINGS)
    killer.join()
    assert victim not in cluster.workers
    assert content(out) == rendered_here


def test_an_item_whose_worker_is_killed_is_done_by_another(cluster, tmp_path):
    def kill_its_worker():
        pid = int(wait_until(lambda: (tmp_path / "3.pid").exists() and (tmp_path / "3.pid").read_text(), "item 3"))
        cluster.kill(next(name for name, process in cluster.workers.items() if process.pid == pid))

    killer = threading.Thread(target=kill_its_worker, daemon=True)
    killer.start()
    there = list(map_items(partial(draw, tmp_path), range(8), "Drawing"))
    killer.join()
    here = list(map_items(partial(draw, tmp_path), range(8), "Drawing", workers=1))
    assert [(item, values) for item, _, values in there] == [(item, values) for item, _, values in here]
    assert there[3][1] != int((tmp_path / "3.pid").read_text())


def test_results_come_while_others_are_worked_on(cluster, tmp_path):
    go_on = tmp_path / "go_on"
    stream = map_items(partial(wait_for, go_on), range(6), "Waiting")
    assert [next(stream) for _ in range(5)] == list(range(5))
    go_on.touch()
    assert list(stream) == [5]


ROOTS = """
import json
import sys
from math import sqrt
from pathlib import Path
from soundgate.runtime.execution import map_items

Path(sys.argv[1]).write_text(json.dumps(list(map_items(sqrt, range(4), "Roots"))))
"""


@pytest.fixture
def pipeline(tree, small_run):
    """Three stages, of which the middle one is the repository's own rooms-render."""
    for name in ("src", "stages"):
        (tree / name).symlink_to(ROOT / name)
    parts = ("irs", "embeddings", "vocals", "plan")
    for name in parts:
        shutil.copytree(small_run / name, tree / "run" / name)
    (tree / "roots.py").write_text(ROOTS)
    rendering = {"chain": {"previous_run": None, "reuse": []}, "render": rooms.SETTINGS.model_dump()}
    (tree / "params.yaml").write_text(yaml.safe_dump({"rooms": rendering}))
    command = f"{sys.executable} -m stages.rooms.render --out batches "
    command += " ".join(f"--{name} run/{name}" for name in parts)
    return make_repository(
        tree,
        {
            "before": stage(f"{sys.executable} roots.py before.json", "roots.py", outs=["before.json"]),
            "rooms-render": stage(command, "before.json", "run", outs=["batches"]),
            "after": stage(f"{sys.executable} roots.py after.json", "roots.py", "batches", outs=["after.json"]),
        },
    )


def test_one_stage_of_a_pipeline_runs_on_the_cluster_and_the_others_here(cluster, pipeline, rendered_here):
    """As docs/cluster.md says."""
    # As these workers are started and this process computes: with whatever instructions there are.
    here = stage_environment() | {"SOUNDGATE_INSTRUCTIONS": "native"}
    here.pop("SOUNDGATE_CLUSTER")
    idle = cluster.transitions()
    dvc_here(pipeline, "repro", "before", environment=here)
    assert cluster.transitions() == idle
    dvc_here(pipeline, "repro", "-s", "rooms-render", environment=here | {"SOUNDGATE_CLUSTER": cluster.address})
    busy = cluster.transitions()
    assert busy > idle and content(pipeline / "batches") == rendered_here
    # Nothing is out of date that ran there.
    assert "Running stage 'after'" in (text := dvc_here(pipeline, "repro", environment=here))
    assert "Running stage 'rooms-render'" not in text and cluster.transitions() == busy
