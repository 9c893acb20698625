import os

import numpy as np
import pytest

from soundgate.runtime.errors import AudioError, ConfigError
from soundgate.runtime.execution import map_items, worker_count
from soundgate.runtime.randomness import keyed_generator, keyed_seed


def draw(item):
    """A result that a shared generator, a reordered result or another BLAS would change."""
    values = keyed_generator(0, "test-execution", str(item)).standard_normal((40, 40))
    return item, os.getpid(), values @ values.T


def refuse_three(item):
    if item == 3:
        raise AudioError("three.wav", expected="audio", found="a number", remedy="None.")
    return item


def results(**arguments):
    return [(item, values.tobytes()) for item, _, values in map_items(draw, range(12), "Drawing", **arguments)]


def test_one_and_two_workers_give_the_same_in_the_same_order():
    one, two = results(workers=1), results(workers=2)
    assert [item for item, _ in one] == list(range(12))
    assert one == two


def test_two_workers_are_two_processes():
    pids = {pid for _, pid, _ in map_items(draw, range(12), "Drawing", workers=2)}
    assert os.getpid() not in pids
    assert {pid for _, pid, _ in map_items(draw, range(3), "Drawing", workers=1)} == {os.getpid()}


def test_a_dask_cluster_gives_the_same(monkeypatch):
    distributed = pytest.importorskip("dask.distributed")

    def seed_and_process(item):
        return keyed_seed(0, "test-execution", item), os.getpid()

    items = [str(i) for i in range(50)]
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        monkeypatch.setenv("SOUNDGATE_CLUSTER", cluster.scheduler_address)
        results = list(map_items(seed_and_process, items, "Seeds"))
        with pytest.raises(ValueError, match="No clients"):
            distributed.default_client()
    assert [seed for seed, _ in results] == [keyed_seed(0, "test-execution", item) for item in items]
    assert os.getpid() not in {pid for _, pid in results}


def test_an_error_in_a_worker_keeps_its_parts():
    with pytest.raises(AudioError) as caught:
        list(map_items(refuse_three, range(6), "Refusing", workers=2))
    assert (caught.value.subject, caught.value.found) == ("three.wav", "a number")


def test_nothing_to_do_is_nothing_done():
    assert list(map_items(draw, [], "Drawing")) == []


def test_the_number_of_workers_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("SOUNDGATE_WORKERS", "3")
    assert worker_count() == 3
    for wrong in ("0", "-1", "two", ""):
        monkeypatch.setenv("SOUNDGATE_WORKERS", wrong)
        with pytest.raises(ConfigError, match="SOUNDGATE_WORKERS"):
            worker_count()
    monkeypatch.delenv("SOUNDGATE_WORKERS")
    assert 1 <= worker_count() <= os.cpu_count()


def test_results_arrive_before_the_last_item_is_done():
    stream = map_items(np.sqrt, range(100), "Roots", workers=1)
    assert next(stream) == 0
    assert sum(1 for _ in stream) == 99
