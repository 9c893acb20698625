"""Every training of the project, as the benchmark for GPUs builds it."""

import sys

from tests.pipeline_file import ROOT


def trainings():
    """Return the module with all of them."""
    if str(ROOT / "benchmarks") not in sys.path:
        sys.path.append(str(ROOT / "benchmarks"))
    import gpu_trainings

    return gpu_trainings
