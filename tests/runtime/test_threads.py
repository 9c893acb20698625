import os
import subprocess
import sys

import pytest
import torch
from threadpoolctl import threadpool_info

from soundgate.runtime.errors import ConfigError
from soundgate.runtime.threads import own_threads, thread_count

# Prints what threads a stage computes on, and a sum whose last bits depend on them.
STAGE = """
import numpy, torch
from soundgate.runtime.stage import stage_command
from threadpoolctl import threadpool_info

@stage_command("track-sum")
def main():
    pools = {info["num_threads"] for info in threadpool_info()}
    values = torch.randn(300, 4001, generator=torch.Generator().manual_seed(0))
    print(torch.get_num_threads(), sorted(pools), (values.T @ values).sum().item().hex(), values.sum().item().hex())

main()
"""


def computed(**environment):
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", STAGE], env=kept | environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_stage_computes_on_one_thread_whatever_the_machine_offers():
    alone = computed(OMP_NUM_THREADS="1")
    assert alone.startswith("1 [1] ") and computed(OMP_NUM_THREADS="4") == computed() == alone


def test_more_threads_are_for_who_asks_for_them():
    assert computed(SOUNDGATE_THREADS="2").startswith("2 [2] ")


def test_threads_and_environment_are_given_back():
    torch.set_num_threads(2)
    before = dict(os.environ)
    try:
        with own_threads():
            assert torch.get_num_threads() == 1 and os.environ["OPENBLAS_NUM_THREADS"] == "1"
            assert {info["num_threads"] for info in threadpool_info()} == {1}
        assert torch.get_num_threads() == 2 and dict(os.environ) == before
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("text", ["0", "two", "-1", ""])
def test_a_wrong_number_of_threads_is_refused(monkeypatch, text):
    monkeypatch.setenv("SOUNDGATE_THREADS", text)
    with pytest.raises(ConfigError, match="SOUNDGATE_THREADS"):
        thread_count()
