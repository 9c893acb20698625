"""What finished folds gave: ``folds/<profile>/voice/<fold>/``, a folder a fold."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import read_json, write_json

ROOT = Path("folds")
# By what they hold, the files that are kept of a run: all below metrics/<profile>/voice.
TABLES = {"scores": "scores.csv", "outside": "outside.csv", "trials": "outside_trials.csv"}
_RECORD = "fold.json"
_COLUMNS = {
    "scores": {"source", "target", "measure", "value"},
    "outside": {"source", "target", "system"},
    "trials": {"judge", "source", "target", "value", "twin"},
}


class Fold(NamedTuple):
    """One finished fold.

    Args:
        fold: its number.
        folds: how many there are.
        commit: of the code.
        overrides: of the parameters, beside the fold.
        code: hash of the code of each stage that its figures depend on; None where none was known.
    """

    fold: int
    folds: int
    commit: str
    overrides: tuple[str, ...]
    code: dict[str, str | None]


class Together(NamedTuple):
    """All folds.

    Args:
        folds: by number.
        tables: by ``TABLES`` the rows of all folds, with ``fold``; speakers are text.
    """

    folds: Sequence[Fold]
    tables: dict[str, pd.DataFrame]


def folder_of(root: Path, profile: str) -> Path:
    """Return the folder of a profile's folds."""
    return root / ROOT / profile / "voice"


def write_fold(folder: Path, fold: Fold, metrics: Path) -> None:
    """Keep what a run gave; the fold counts once its record is there, which is written last.

    Args:
        folder: of the profile's folds.
        fold: see `Fold`.
        metrics: the run's ``metrics/<profile>/voice``.
    """
    own = folder / str(fold.fold)
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    for name in TABLES.values():
        shutil.copyfile(metrics / name, own / name)
    write_json(own / _RECORD, fold._asdict())


def read_fold(folder: Path, number: int) -> Fold | None:
    """Return a finished fold, None where it is not finished.

    Raises:
        FormatError: its record is damaged.
    """
    path = folder / str(number) / _RECORD
    if not path.is_file():
        return None
    try:
        found = Fold(**read_json(path))
        if found.fold != number or not isinstance(found.code, dict):
            raise TypeError("another fold, or code that is no mapping")
    except (ValueError, TypeError) as error:
        remedy = "Remove it and run: soundgate folds run"
        raise FormatError(path, expected=f"the record of fold {number}", found=str(error), remedy=remedy) from error
    return found._replace(overrides=tuple(found.overrides))


def read_folds(folder: Path) -> Together:
    """Return all folds of a profile.

    Raises:
        FormatError: none are there, some are missing, of several runs or damaged, or a speaker is in two tests.
    """
    numbers = sorted(int(path.parent.name) for path in folder.glob(f"*/{_RECORD}") if path.parent.name.isdecimal())
    folds = [fold for fold in (read_fold(folder, number) for number in numbers) if fold]
    expected = set(range(folds[0].folds)) if folds else {0}
    _refuse(folder, expected - set(numbers), "every fold", "no fold {}")
    alike = [(fold.folds, fold.overrides, tuple(sorted(fold.code.items()))) for fold in folds]
    others = [fold.fold for fold, own in zip(folds, alike, strict=True) if own != alike[0]]
    _refuse(folder, others, "folds of the same parameters and code", "others in fold {}")
    tables = {kind: pd.concat([_read(folder, fold.fold, kind) for fold in folds], ignore_index=True) for kind in TABLES}
    by_speaker = tables["outside"].groupby("source")["fold"].nunique()
    _refuse(folder, by_speaker.index[by_speaker > 1], "each speaker in the test of one fold", "several of {}")
    return Together(folds, tables)


def _read(folder: Path, number: int, kind: str) -> pd.DataFrame:
    path = folder / str(number) / TABLES[kind]
    remedy = f"Remove {path.parent} and run: soundgate folds run"
    try:
        table = pd.read_csv(path, dtype={"source": str, "target": str})
    except (OSError, ValueError) as error:
        raise FormatError(path, expected="a table of a fold", found=str(error), remedy=remedy) from error
    lacking = _COLUMNS[kind] - set(table)
    if lacking:
        expected, found = f"columns {', '.join(sorted(_COLUMNS[kind]))}", f"no {', '.join(sorted(lacking))}"
        raise FormatError(path, expected=expected, found=found, remedy=remedy)
    return table.assign(fold=number)


def _refuse(folder: Path, wrong: Iterable, expected: str, found: str) -> None:
    names = ", ".join(str(one) for one in sorted(wrong))
    if names:
        raise FormatError(folder, expected=expected, found=found.format(names), remedy="Run: soundgate folds run")
