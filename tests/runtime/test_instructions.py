import os
import subprocess
import sys

import pytest

from soundgate.runtime import instructions
from soundgate.runtime.errors import ConfigError
from soundgate.runtime.instructions import pin_instructions

PINNED = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "MKL_CBWR")
# What a stage has before it loads a library, and what the libraries make of it.
STAGE = """
import stages
import numpy, torch, scipy.linalg
from threadpoolctl import threadpool_info
print(torch.backends.cpu.get_cpu_capability())
print(*sorted({info["architecture"] for info in threadpool_info() if info["internal_api"] == "openblas"}))
print(*numpy.lib.introspect.opt_func_info("exp")["exp"]["dd"].values())
"""
# What is pinned to AVX2 needs it; what happens without is tested on every processor.
on_avx2 = pytest.mark.skipif(not instructions._has_avx2(), reason="a processor without AVX2")


def run(program, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in PINNED}
    return subprocess.run(
        [sys.executable, "-c", program], env=kept | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def clean(monkeypatch):
    for name in PINNED:
        monkeypatch.setenv(name, "")  # So that it is put back, also to nothing.
        monkeypatch.delenv(name)
    for name in ("numpy", "scipy", "torch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return monkeypatch


@on_avx2
def test_libraries_of_a_stage_compute_with_avx2_whatever_the_processor_has():
    torch_says, openblas_says, numpy_says = run(STAGE).stdout.splitlines()
    assert (torch_says, openblas_says) == ("AVX2", "Haswell")
    assert "X86_V3" in numpy_says.split()[0]


@on_avx2
def test_a_variable_that_is_set_is_kept(clean):
    clean.setenv("MKL_CBWR", "AVX2")
    pin_instructions()
    assert os.environ["MKL_CBWR"] == "AVX2" and os.environ["OPENBLAS_CORETYPE"] == "Haswell"


def test_native_leaves_them_all(clean):
    clean.setenv("SOUNDGATE_INSTRUCTIONS", "native")
    pin_instructions()
    assert not any(name in os.environ for name in PINNED)


def test_nothing_is_pinned_halfway(clean):
    clean.setitem(sys.modules, "numpy", object())
    pin_instructions()
    assert not any(name in os.environ for name in PINNED)


@pytest.mark.parametrize("text", ["flags: fpu sse4_2 avx\n", None])
def test_a_processor_without_avx2_is_left_alone(clean, tmp_path, text):
    file = tmp_path / "cpuinfo"
    if text:
        file.write_text(text)
    clean.setattr(instructions, "_PROCESSOR", file)
    pin_instructions()
    assert not any(name in os.environ for name in PINNED)


def test_another_word_is_refused(clean):
    clean.setenv("SOUNDGATE_INSTRUCTIONS", "sse")
    with pytest.raises(ConfigError, match="SOUNDGATE_INSTRUCTIONS: expected common or native; found 'sse'"):
        pin_instructions()
    ended = run("import stages", SOUNDGATE_INSTRUCTIONS="sse")
    assert ended.returncode == 1 and "Traceback" not in ended.stderr and "found 'sse'" in ended.stderr
