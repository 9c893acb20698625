"""Tables behind the audit's plots."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from soundgate.runtime.files import write_text
from soundgate.tracks.editor.audit.run import Audit
from soundgate.tracks.editor.recovery.scores import confusion_rows


def write_plots(folder: Path, audit: Audit) -> None:
    """Write ``rewards.csv``, ``confusion.csv`` (of the policy) and ``reward_truth.csv``."""
    rewards = [
        {"method": method, "reward": own["reward"]["value"], "gain": own["gain"]["value"]}
        for method, own in audit.rewards.items()
    ]
    tables = {
        "rewards": pd.DataFrame(rewards),
        "confusion": confusion_rows(audit.labels["policy"]["confusion"]),
        "reward_truth": audit.versions,
    }
    for name, table in tables.items():
        write_text(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
