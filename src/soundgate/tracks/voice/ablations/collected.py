"""What the arms were scored: ``ablations/<profile>/<arm>/<seed>/`` with ``scores.csv`` and ``run.json``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import read_json, write_json, write_text

ROOT = Path("ablations")
SCORES, CARD = "scores.csv", "run.json"
PAIR = ["source", "target", "utterance"]
COLUMNS = [*PAIR, "measure", "value"]


class Collected(NamedTuple):
    """All runs of a profile.

    Args:
        scores: one row for each arm, seed, evaluation pair and measure: ``arm``, ``seed`` and ``COLUMNS``.
        runs: one row for each run: ``arm``, ``seed`` and what its ``run.json`` says.
    """

    scores: pd.DataFrame
    runs: pd.DataFrame


def run_folder(root: Path, arm: str, seed: int) -> Path:
    """Return the folder of one run.

    Args:
        root: of the profile.
        arm: its name.
        seed: of the run.
    """
    return root / arm / str(seed)


def write_run(folder: Path, scores: str, card: dict) -> None:
    """Keep one run; it counts as finished once its card is there, which is written last."""
    write_text(folder / SCORES, scores)
    write_json(folder / CARD, card)


def read_card(folder: Path) -> dict | None:
    """Return a finished run's card, or None."""
    return read_json(folder / CARD) if (folder / CARD).is_file() and (folder / SCORES).is_file() else None


def read_collected(root: Path) -> Collected:
    """Read every finished run of a profile.

    Args:
        root: the profile's folder; it may hold none.

    Raises:
        FormatError: a table of scores without the columns, with a value that is no number, or with a pair twice.
    """
    cards = sorted(root.glob(f"*/*/{CARD}"), key=lambda path: (path.parts[-3], int(path.parts[-2])))
    scores, runs = [], []
    for card in (card for card in cards if (card.parent / SCORES).is_file()):
        own = {"arm": card.parts[-3], "seed": int(card.parts[-2])}
        scores.append(_read_scores(card.parent / SCORES).assign(**own))
        runs.append(read_json(card) | own)
    columns = ["arm", "seed", *COLUMNS]
    table = pd.concat(scores, ignore_index=True)[columns] if scores else pd.DataFrame(columns=columns)
    return Collected(table, pd.DataFrame(runs, columns=None if runs else ["arm", "seed"]))


def _read_scores(path: Path) -> pd.DataFrame:
    remedy = "Remove its folder and run the arm again."
    table = pd.read_csv(path, dtype=dict.fromkeys([*PAIR, "measure"], str), keep_default_na=False, na_values=[""])
    if not set(COLUMNS) <= set(table.columns):
        found = ", ".join(table.columns)
        raise FormatError(path, expected=f"the columns {', '.join(COLUMNS)}", found=found, remedy=remedy)
    values = pd.to_numeric(table["value"], errors="coerce")
    if (values.isna() & table["value"].notna()).any():
        raise FormatError(path, expected="numbers in `value`", found="text", remedy=remedy)
    repeated = table.duplicated([*PAIR, "measure"])
    if repeated.any():
        first = " ".join(table.loc[repeated.idxmax(), [*PAIR, "measure"]])
        raise FormatError(path, expected="every pair and measure once", found=f"{first} twice", remedy=remedy)
    return table[COLUMNS].assign(value=values)
