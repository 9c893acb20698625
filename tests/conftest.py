"""What every test process starts with."""

import os
from pathlib import Path

# What numba compiles for librosa is kept by each test process for itself: two that wrote one cache crashed.
os.environ["NUMBA_CACHE_DIR"] = str(
    Path(__file__).parents[1] / ".pytest_cache" / f"numba-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
)
