"""The most memory a training took, as a line of its log: nothing that varies from run to run is a metric."""

from __future__ import annotations

import resource
import sys

import torch

from soundgate.runtime.console import logger


def log_peak_memory(stage: str) -> None:
    """Log the most memory that was taken so far: on the GPU where one is used, else by this process (MiB)."""
    if torch.cuda.is_initialized():
        peak = torch.cuda.max_memory_allocated()
    else:
        # KiB, but bytes on macOS.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 2**10)
    logger.info("%s: at most %.1f MB", stage, peak / 2**20)
