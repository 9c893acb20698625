"""What is said where a cluster cannot do the work: a cluster of its own, whose workers are unfit."""

import gc
import os
import shutil
import signal
import threading
import time
from functools import partial

import pytest

from soundgate.runtime import execution
from soundgate.runtime.errors import ConfigError, FormatError
from soundgate.runtime.execution import map_items
from tests.dask_cluster import dask_cluster
from tests.pipeline_file import ROOT
from tests.waiting import wait_until


def square(item):
    return item**2


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
        with dask_cluster(tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("logs"), n_workers=0) as cluster:
            yield cluster


@pytest.fixture
def cluster(running, monkeypatch):
    """The cluster without workers: a test starts its own."""
    monkeypatch.chdir(running.folder)
    monkeypatch.setenv("SOUNDGATE_CLUSTER", running.address)
    yield running
    for name in list(running.workers):
        running.kill(name)
    if running.is_there():
        wait_until(lambda: not running.client.nthreads(), "the end of the workers")


def refusal(cluster, *arguments, **options):
    """Return what is said of a worker that is started so."""
    cluster.start_worker(*arguments, **options)
    cluster.wait_for_workers()
    with pytest.raises(ConfigError) as caught:
        list(map_items(square, range(3), "Squares"))
    assert caught.value.subject.startswith("Dask worker tcp://127.0.0.1:")
    assert "docs/cluster.md" in caught.value.remedy
    return caught.value.expected, caught.value.found


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "127.0.0.1:1", "nonsense", "http://127.0.0.1:1"])
def test_a_scheduler_that_is_not_there(monkeypatch, address):
    monkeypatch.setattr(execution, "_ANSWER_S", 0.5)
    monkeypatch.setenv("SOUNDGATE_CLUSTER", address)
    with pytest.raises(ConfigError, match=f"SOUNDGATE_CLUSTER: expected a Dask scheduler .* found none at {address}"):
        list(map_items(square, range(3), "Squares"))
    # Where the client that failed is collected while another starts its thread, and by that thread, both wait for one
    # lock of Dask's until the start is given up.
    gc.collect()


def test_a_worker_without_the_data(cluster, tmp_path, monkeypatch):
    # To each process another folder, as a disk that is not shared is to each machine.
    monkeypatch.setenv("SOUNDGATE_SCRATCH", "/proc/self/cwd/scratch")
    assert refusal(cluster, "elsewhere", folder=tmp_path) == (
        "the shared folder /proc/self/cwd/scratch",
        "a folder of its own, or none",
    )
    assert list((cluster.folder / "scratch").iterdir()) == []


def test_a_worker_that_was_started_elsewhere(cluster, tmp_path):
    assert refusal(cluster, "below", folder=tmp_path) == (f"a start in {cluster.folder}", f"one in {tmp_path}")


def test_a_worker_with_other_code(cluster, tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src")
    other = tmp_path / "src/soundgate/runtime/execution.py"
    expected = (f"the code {execution.__file__}", str(other))
    assert refusal(cluster, "older", PYTHONPATH=os.pathsep.join([str(ROOT), str(tmp_path / "src")])) == expected


def test_a_worker_with_other_instructions(cluster):
    expected, found = refusal(cluster, "wider", MKL_CBWR="AVX512")
    assert "MKL_CBWR=AVX512" in found and "MKL_CBWR=AVX512" not in expected


def test_a_worker_of_two_threads(cluster):
    assert refusal(cluster, "wide", threads=2) == ("one thread (--nthreads 1)", "2 threads")


def refuse_two(item):
    if item == 2:
        raise FormatError("two.npz", expected="an odd number", found="2", remedy="None.")
    return item


def test_an_error_of_an_item_is_raised_as_it_is(cluster):
    cluster.start_worker("fit")
    with pytest.raises(FormatError) as caught:
        list(map_items(refuse_two, range(4), "Refusing"))
    assert (caught.value.subject, caught.value.found) == ("two.npz", "2")


def end_the_worker(item):
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_item_that_ends_its_workers(cluster):
    cluster.start_worker("mortal")
    with pytest.raises(ConfigError, match="workers died again and again.*memory was too small"):
        list(map_items(end_the_worker, range(1), "Ending"))


def test_without_workers_it_waits_and_says_so_once(cluster, monkeypatch):
    monkeypatch.setattr(execution, "_PATIENCE_S", 0.1)
    told, found = [], []
    # By its calls: a log line is seen once by every handler that another test has left.
    monkeypatch.setattr(execution.logger, "warning", lambda *parts: told.append(parts))
    asking = threading.Thread(target=lambda: found.extend(map_items(square, range(3), "Squares")), daemon=True)
    asking.start()
    wait_until(lambda: told, "the warning")
    time.sleep(0.5)
    cluster.start_worker("late")
    asking.join()
    assert found == [0, 1, 4] and told == [("The scheduler at %s has no worker: waiting for one", cluster.address)]


def begin(folder, item):
    (folder / str(item)).touch()
    return item


def test_results_that_nobody_takes_are_not_worked_for(cluster, tmp_path):
    cluster.start_worker("fit")
    cluster.wait_for_workers()
    stream = map_items(partial(begin, tmp_path), range(100), "Beginning")
    assert next(stream) == 0
    wait_until(lambda: not cluster.holds_items("fit"), "the end of what was given out")
    assert len(list(tmp_path.iterdir())) == execution._AHEAD
    stream.close()
    assert not list((cluster.folder / "scratch").iterdir())


def wait_for_ever(folder, item):
    begin(folder, item)
    wait_until(lambda: False, "the end of the scheduler")


def test_a_scheduler_that_goes(cluster, tmp_path, monkeypatch):
    """The last test of this cluster."""
    monkeypatch.setattr(execution, "_ANSWER_S", 1)
    cluster.start_worker("orphan")

    def end_the_scheduler():
        wait_until(lambda: list(tmp_path.iterdir()), "work on an item")
        cluster.end_scheduler()

    ending = threading.Thread(target=end_the_scheduler, daemon=True)
    ending.start()
    with pytest.raises(ConfigError, match=f"a scheduler that lives as long.* found none any more at {cluster.address}"):
        list(map_items(partial(wait_for_ever, tmp_path), range(2), "Waiting"))
    ending.join()
