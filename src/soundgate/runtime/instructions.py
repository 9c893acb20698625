"""Arithmetic with instructions that most x86-64 processors since 2013 have, so that results depend less on which."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from soundgate.runtime.errors import ConfigError

VARIABLE = "SOUNDGATE_INSTRUCTIONS"
# Each library asks the processor for its widest instructions, or its maker, and chooses other sums by the answer.
_PINS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4,AVX512_ICL,AVX512_SPR",
    # Its branch for AVX2 is for processors of its own maker alone.
    "MKL_CBWR": "COMPATIBLE",
}
_READ_WHEN_LOADED = ("numpy", "scipy", "torch")
_PROCESSOR = Path("/proc/cpuinfo")


def pin_instructions() -> None:
    """Hold PyTorch, oneDNN, OpenBLAS and NumPy of this process and its children to AVX2, MKL to what all makers share.

    They read it when they are loaded: where one is, nothing is changed, and neither on a processor without AVX2. A
    variable of theirs that is set already is kept. ``SOUNDGATE_INSTRUCTIONS=native`` leaves them all they find.

    Raises:
        ConfigError: the variable is neither ``common`` nor ``native``.
    """
    wanted = os.environ.get(VARIABLE, "common")
    if wanted not in ("common", "native"):
        raise ConfigError(VARIABLE, expected="common or native", found=repr(wanted))
    if wanted == "common" and _has_avx2() and not any(name in sys.modules for name in _READ_WHEN_LOADED):
        for name, value in _PINS.items():
            os.environ.setdefault(name, value)


def _has_avx2() -> bool:
    try:
        return "avx2" in _PROCESSOR.read_text().split()
    except OSError:
        return False
