"""What runs with other seeds of training gave: ``seeds/<profile>/<track>/<seed>.json``, a file a finished seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from soundgate.evaluation.spread import spread_of
from soundgate.pipeline.code_hashes import Hashes
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import read_json, write_json

ROOT = Path("seeds")


class Record(NamedTuple):
    """One finished seed.

    Args:
        seed: of the trainings.
        commit: of the code.
        overrides: of the parameters, beside profile and seed.
        code: hash of each trained stage's code; None where none was known.
        values: of each gate; None where the training gave no number.
        confirmed: the commit of other code with which the run itself gave the values it had given with this record's;
            ``code`` is then that commit's.
    """

    seed: int
    commit: str
    overrides: tuple[str, ...]
    code: dict[str, str | None]
    values: dict[str, float | None]
    confirmed: str | None = None


class Trained(NamedTuple):
    """A track's stages that train."""

    stages: tuple[str, ...]

    def code(self, hashes: Hashes) -> dict[str, str | None]:
        """Return the hash of each stage's code; None where none is known."""
        return {stage: hashes.get(stage) for stage in self.stages}


def write_record(folder: Path, record: Record) -> None:
    """Keep a finished seed in a track's folder; the file is there whole or not at all."""
    write_json(folder / f"{record.seed}.json", record._asdict())


def read_records(folder: Path) -> list[Record]:
    """Return the finished seeds of a track, by seed; the folder need not exist.

    Raises:
        FormatError: a file that is no finished seed.
    """
    return sorted((read_record(path) for path in folder.glob("*.json")), key=lambda record: record.seed)


def read_record(path: Path) -> Record:
    """Return one finished seed.

    Raises:
        FormatError: the file is none.
    """
    try:
        found = Record(**read_json(path))
        if not isinstance(found.code, dict) or not isinstance(found.values, dict):
            raise TypeError("code or values that are no mapping")
    except (ValueError, TypeError) as error:
        remedy = "Remove it and run: soundgate seeds run"
        raise FormatError(path, expected="a finished seed", found=str(error), remedy=remedy) from error
    return found._replace(overrides=tuple(found.overrides))


def confirm_records(folder: Path, before: Record, after: Record) -> list[Path]:
    """Let the records of a track stand for other code where a seed gave with it what it had given before.

    The same values, to the last digit, of all gates that other seeds have and that there still are say, after a whole
    training, that the change of code changed no number, and so none of another seed. Gates that came with the change
    have no spread until they are measured; values of gates that went with it are dropped.

    Args:
        folder: of the track's records; those of other seeds are confirmed that have code and overrides of ``before``.
        before: a seed's record.
        after: the same seed's with other code.

    Returns:
        The files written: none where the values differ, or where no number is left to compare.
    """
    others = [record for record in read_records(folder) if record.seed != after.seed]
    stand = [record for record in others if (record.code, record.overrides) == (before.code, before.overrides)]
    shared = {name for record in stand for name in record.values} & set(before.values) & set(after.values)
    found, expected = ({name: record.values[name] for name in shared} for record in (after, before))
    if before.overrides != after.overrides or found != expected or all(value is None for value in found.values()):
        return []
    for record in stand:
        kept = {name: value for name, value in record.values.items() if name in after.values}
        write_record(folder, record._replace(code=after.code, values=kept, confirmed=after.commit))
    return [folder / f"{record.seed}.json" for record in stand]


def measured_spread(records: Sequence[Record], trained: Trained, gates: Iterable[str]) -> dict:
    """Return what ``seeds.json`` holds.

    Args:
        records: of one track.
        trained: its trained stages.
        gates: the names of its gates; one that a record lacks has no spread.

    Returns:
        ``trained``; ``seeds``; ``code``, the hash that all records have of each trained stage, None where they differ
        or know none; ``gates``, by gate the spread, see `soundgate.evaluation.spread.spread_of`.
    """
    codes = {stage: {record.code.get(stage) for record in records} for stage in trained.stages}
    return {
        "trained": list(trained.stages),
        "seeds": [record.seed for record in records],
        "code": {stage: next(iter(found)) if len(found) == 1 else None for stage, found in codes.items()},
        "gates": {
            name: spread_of([record.values[name] for record in records])
            for name in gates
            if records and all(name in record.values for record in records)
        },
    }
