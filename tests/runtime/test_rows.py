"""Arrays written and read a part at a time."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from soundgate.runtime.rows import spilled_rows, write_rows


@pytest.mark.parametrize("shape", [(), (3,), (2, 5)])
@pytest.mark.parametrize("dtype", [np.int16, np.float16, np.float32])
@pytest.mark.parametrize("lengths", [(4,), (1, 0, 7), (0,)])
def test_the_file_is_that_of_all_parts_saved_together(tmp_path, shape, dtype, lengths):
    generator = np.random.default_rng(0)
    parts = [generator.integers(-9, 9, (length, *shape)).astype(dtype) for length in lengths]
    assert write_rows(tmp_path / "rows.npy", iter(parts), dtype) == sum(lengths)
    np.save(tmp_path / "saved.npy", np.concatenate(parts))
    assert (tmp_path / "rows.npy").read_bytes() == (tmp_path / "saved.npy").read_bytes()
    if sum(lengths):
        spilled = spilled_rows(iter(parts), np.float32, tmp_path / "work")
        assert spilled.dtype == np.float32 and np.array_equal(spilled, np.concatenate(parts))
        assert not any((tmp_path / "work").iterdir())


@pytest.mark.parametrize("shape", [(50,), (50, 3), (50, 2, 4)])
def test_spilled_rows_are_indexed_like_an_array(tmp_path, shape):
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    spilled = spilled_rows(np.array_split(array, 4), np.float32, tmp_path)
    assert spilled.shape == shape and len(spilled) == 50
    keys = [7, slice(None), slice(3, 9), slice(40, 99), slice(9, 3), np.array([4, 5, 6, 2, 2, 49]), np.array([], int)]
    keys += [np.array([[3, 4, 5], [47, 48, 49]]), np.arange(50) % 7 == 0]
    for key in keys:
        np.testing.assert_array_equal(spilled[key], array[key])
        if array.ndim == 2:
            np.testing.assert_array_equal(spilled[key, 1], array[key, 1])
    for outside in (50, -1, np.array([0, 50])):
        with pytest.raises(IndexError, match="expected 0 to 49"):
            spilled[outside]


def test_threads_read_spilled_rows_at_once(tmp_path):
    array = np.arange(4000, dtype=np.float32).reshape(1000, 4)
    spilled = spilled_rows([array], np.float32, tmp_path)
    rows = [np.random.default_rng(i).integers(1000, size=500) for i in range(16)]
    with ThreadPoolExecutor(8) as pool:
        for found, row in zip(pool.map(spilled.__getitem__, rows), rows, strict=True):
            np.testing.assert_array_equal(found, array[row])


def test_without_parts_there_are_no_values(tmp_path):
    assert write_rows(tmp_path / "rows.npy", [], np.int16) == 0
    assert np.load(tmp_path / "rows.npy").shape == (0,)


def test_what_fails_leaves_the_file_of_before(tmp_path):
    write_rows(tmp_path / "rows.npy", [np.ones(2, np.int16)], np.int16)
    with pytest.raises(AssertionError):
        write_rows(tmp_path / "rows.npy", [np.zeros(2, np.int16), np.zeros(2)], np.int16)
    assert np.load(tmp_path / "rows.npy").tolist() == [1, 1] and len(list(tmp_path.iterdir())) == 1


def test_one_part_is_in_memory_at_a_time(tmp_path):
    tracemalloc.start()
    write_rows(tmp_path / "rows.npy", (np.zeros((1000, 100), np.float32) for _ in range(50)), np.float32)
    spilled = spilled_rows((np.zeros((1000, 100), np.float64) for _ in range(50)), np.float32, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert spilled.shape == (50_000, 100) and peak < 3_000_000
