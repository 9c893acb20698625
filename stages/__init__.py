"""One thin command per DVC stage; each works with the ``soundgate`` that stands beside this folder."""

import sys
from pathlib import Path

# `dvc exp run --temp` and `--queue` run in a copy of the repository: that copy's code must be what runs
# there, not the one an editable installation points at.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from soundgate.runtime.instructions import pin_instructions
from soundgate.runtime.stage import errors_in_one_line

with errors_in_one_line():
    pin_instructions()
