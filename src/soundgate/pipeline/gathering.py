"""A track's gates gathered from what its stages wrote."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pandas as pd

from soundgate.pipeline.gate_files import GATES, Gates
from soundgate.runtime.config import Section
from soundgate.runtime.errors import GateError
from soundgate.runtime.files import read_json

COLUMNS = ["gate", "value", "side", "threshold", "margin", "verdict", "ci_low", "ci_high", "n", "control", "seeds"]


class GateSources(Section):
    """Section ``gates.<track>``.

    Args:
        variants: folders with gates of their own; none: the run has one file.
        parts: folders inside each variant's with more gates.
        trained: stages whose results depend on ``training_seed``; none: nothing in the track is trained.
    """

    variants: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    trained: tuple[str, ...] = ()


def gather(sources: GateSources, folder: Path) -> Gates:
    """Read a track's gates: ``<folder>[/<variant>][/<part>]/gates.json``.

    Only the variants that are named are read: what an earlier composition left there does not count.

    Args:
        sources: see `GateSources`.
        folder: ``metrics/<profile>/<track>/run``.

    Returns:
        Verdicts by gate; those of a variant's part are named ``<variant>/<part>: <gate>``.

    Raises:
        GateError: a file is missing.
    """
    gates: Gates = {}
    for variant, part in product(sources.variants or ("",), ("", *sources.parts)):
        inner = Path(variant, part)
        path = folder / inner / GATES
        if not path.is_file():
            remedy = "Run: soundgate repro"
            raise GateError(path, expected="the verdicts of a run", found="no such file", remedy=remedy)
        prefix = "" if inner == Path() else f"{inner.as_posix()}: "
        gates |= {f"{prefix}{name}": gate for name, gate in read_json(path).items()}
    return gates


def gate_table(gates: Gates) -> pd.DataFrame:
    """Return one row for each gate, with the columns ``COLUMNS``; what a verdict lacks is empty."""
    return pd.DataFrame([{"gate": name} | gate for name, gate in gates.items()], columns=COLUMNS)
