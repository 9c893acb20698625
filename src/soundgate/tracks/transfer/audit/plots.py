"""Tables behind the audit's plots."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from soundgate.runtime.files import write_text
from soundgate.tracks.transfer.audit.run import Audit


def write_plots(folder: Path, audit: Audit) -> None:
    """Write ``pairs.csv``, ``targets.csv``, ``controls.csv`` and ``leakage.csv``."""
    pairs = audit.pairs.assign(
        pair=audit.pairs["path"] + ": " + audit.pairs["source_genre"] + " to " + audit.pairs["target_genre"]
    )
    controls = [
        {"what": f"{path}: {kind}", "mps": scores["mps_held_out"]["value"], "sf": scores["sf_held_out"]["value"]}
        for path, own in audit.kinds.items()
        for kind, scores in own.items()
    ]
    leakage = [
        {"probe": f"{name}: {what}", "above_majority": probe[what]["accuracy"]["value"] - probe[what]["majority"]}
        for name, probe in audit.leakage["features"].items()
        for what in ("genre", "source")
        if probe[what]["answerable"]
    ]
    tables = {
        "pairs": pairs,
        "targets": audit.targets.assign(target=audit.targets["path"] + ": " + audit.targets["target_genre"]),
        "controls": pd.DataFrame(controls, columns=["what", "mps", "sf"]),
        "leakage": pd.DataFrame(leakage, columns=["probe", "above_majority"]),
    }
    for name, table in tables.items():
        write_text(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
