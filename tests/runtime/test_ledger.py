import numpy as np

from soundgate.runtime.ledger import Ledger, jsonable


def test_a_finished_part_is_not_computed_again_and_comes_back_the_same(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"x": np.float32(0.1), "rows": np.arange(3), 4: (True, None), "nan": float("nan"), "pi": np.pi}

    first = Ledger(tmp_path).once("part one", compute)
    second = Ledger(tmp_path).once("part one", compute)
    assert calls == [1] and first == second
    assert second == {"x": float(np.float32(0.1)), "rows": [0, 1, 2], "4": [True, None], "nan": None, "pi": np.pi}


def test_without_a_folder_nothing_is_kept():
    calls = []
    for _ in range(2):
        Ledger().once("part", lambda: calls.append(1) or {})
    assert len(calls) == 2


def test_json_values_pass_unchanged():
    value = {"a": [1, 2.5, "x", None, {"b": False}]}
    assert jsonable(value) == value
