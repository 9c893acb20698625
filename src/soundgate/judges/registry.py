"""Judges by name; each lives in a module of its own and is imported only when asked for."""

from __future__ import annotations

import importlib

from soundgate.judges.base import Judge
from soundgate.runtime.errors import ConfigError

JUDGE_NAMES = ("speaker", "quality", "pitch", "notes", "words", "similarity")


def load_judge(name: str) -> Judge:
    """Load a judge on the CPU, frozen.

    Args:
        name: one of ``JUDGE_NAMES``.

    Raises:
        ConfigError: an unknown judge.
        WeightsError: the package that holds its weights is not installed, or holds other ones.
    """
    if name not in JUDGE_NAMES:
        raise ConfigError("judge", expected=f"one of {', '.join(JUDGE_NAMES)}", found=repr(name))
    return importlib.import_module(f"soundgate.judges.{name}").load()
