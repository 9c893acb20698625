"""A track's gates gathered from the runs of its stages, with the spread over seeds of training in their intervals."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pandas as pd

from soundgate.evaluation.gates import count_verdicts
from soundgate.evaluation.spread import with_spread
from soundgate.pipeline.gate_files import GATES, RUN, SEEDS, SUMMARY, Gates
from soundgate.pipeline.seeds.records import Trained, measured_spread, read_records
from soundgate.runtime.config import Section
from soundgate.runtime.errors import GateError
from soundgate.runtime.files import read_json, write_json, write_text

COLUMNS = ["gate", "value", "side", "threshold", "margin", "verdict", "ci_low", "ci_high", "n", "control", "seeds"]


class GateSources(Section):
    """Section ``gates.<track>``.

    Args:
        variants: folders with gates of their own; none: the track's run has one file.
        parts: folders inside each variant's with more gates.
        trained: stages whose results depend on ``training_seed``; none: nothing in the track is trained.
    """

    variants: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    trained: tuple[str, ...] = ()


def gather(sources: GateSources, folder: Path) -> Gates:
    """Read a track's gates: ``<folder>/run[/<variant>][/<part>]/gates.json``.

    Only the variants that are named are read: what an earlier composition left there does not count.

    Args:
        sources: see `GateSources`.
        folder: of the track.

    Returns:
        Verdicts by gate; those of a variant's part are named ``<variant>/<part>: <gate>``.

    Raises:
        GateError: a file is missing.
    """
    gates: Gates = {}
    for variant, part in product(sources.variants or ("",), ("", *sources.parts)):
        inner = Path(variant, part)
        path = folder / RUN / inner / GATES
        if not path.is_file():
            remedy = "Run: soundgate repro"
            raise GateError(path, expected="the verdicts of a run", found="no such file", remedy=remedy)
        prefix = "" if inner == Path() else f"{inner.as_posix()}: "
        gates |= {f"{prefix}{name}": gate for name, gate in read_json(path).items()}
    return gates


def write_track(sources: GateSources, folder: Path, seeds: Path, table: Path) -> None:
    """Write a track's ``gates.json``, ``summary.json`` and ``seeds.json`` into its folder, and a row a gate as CSV.

    Args:
        sources: see `GateSources`.
        folder: ``metrics/<profile>/<track>``.
        seeds: the profile's folder of runs with other seeds, see `soundgate.pipeline.seeds.records`.
        table: the CSV file.

    Raises:
        GateError: a run's gates are missing, or there are none.
    """
    gates = gather(sources, folder)
    spread = measured_spread(read_records(seeds / folder.name), Trained(sources.trained), gates)
    judged = {
        name: with_spread(gate, spread["gates"][name]) if name in spread["gates"] else gate
        for name, gate in gates.items()
    }
    write_json(folder / GATES, judged)
    write_json(folder / SUMMARY, count_verdicts(judged))
    write_json(folder / SEEDS, spread)
    write_text(table, gate_table(judged).to_csv(index=False, lineterminator="\n"))


def gate_table(gates: Gates) -> pd.DataFrame:
    """Return one row for each gate, with the columns ``COLUMNS``; what a verdict lacks is empty."""
    return pd.DataFrame([{"gate": name} | gate for name, gate in gates.items()], columns=COLUMNS)
